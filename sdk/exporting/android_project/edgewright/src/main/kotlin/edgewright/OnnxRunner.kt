package edgewright

import ai.onnxruntime.OnnxJavaType
import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtException
import ai.onnxruntime.OrtLoggingLevel
import ai.onnxruntime.OrtSession
import ai.onnxruntime.OrtSession.SessionOptions
import edgewright.EdgewrightException.Reason
import java.io.Closeable
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.FloatBuffer

internal fun opensFilesAlone(): Boolean = false

/**
 * ONNX Runtime. A mapped .ort file's weights are used where they lie, an .onnx file is read and copied by the engine. One that
 * [picks] gives the logits of the last token alone, as a decoder is asked.
 */
internal class OnnxRunner(model: Asset, threads: Int, private val picks: Boolean = false) : Closeable {
    private val environment = guarded("does not load") { OrtEnvironment.getEnvironment(OrtLoggingLevel.ORT_LOGGING_LEVEL_ERROR, "edgewright") }
    private val session: OrtSession
    private var map: ByteBuffer? = null // of an .ort file: the session uses its weights where they lie

    /** Of one that picks: its graph has the number as a default, which Java cannot be given. */
    private val last = tensor(direct(8).putLong(0, 1), longArrayOf(1), OnnxJavaType.INT64)

    init {
        session = guarded("does not open ${model.name}") {
            environment.setTelemetry(false)
            val bytes = if (model.path == null) model.map() else null
            if (model.name.endsWith(".ort")) map = bytes
            val exact = saturates() // products of int8 in the form that never does
            try {
                open(model.path, bytes, threads, exact)
            } catch (error: OrtException) { // one that refuses the exact form takes the other
                if (exact) open(model.path, bytes, threads, false) else throw error
            }
        }
    }

    /** A file by its path, or its bytes. */
    private fun open(path: String?, bytes: ByteBuffer?, threads: Int, exact: Boolean): OrtSession = SessionOptions().use { options ->
        options.setIntraOpNumThreads(threads)
        options.setInterOpNumThreads(1)
        options.setMemoryPatternOptimization(false) // texts have all lengths
        options.addConfigEntry("session.use_ort_model_bytes_directly", "1")
        options.addConfigEntry("session.use_ort_model_bytes_for_initializers", "1")
        if (exact) options.addConfigEntry("session.x64quantprecision", "1")
        if (picks) options.addInitializer("num_logits_to_keep", last)
        if (path != null) environment.createSession(path, options) else environment.createSession(bytes, options)
    }

    /** Bytes as the engine's value, not a copy of them. */
    fun tensor(bytes: ByteBuffer, shape: LongArray, type: OnnxJavaType): OnnxTensor =
        guarded("failed") { OnnxTensor.createTensor(environment, bytes, shape, type) }

    fun longs(all: LongArray, vararg shape: Int): OnnxTensor {
        val buffer = direct(8L * all.size)
        buffer.asLongBuffer().put(all)
        return tensor(buffer, LongArray(shape.size) { shape[it].toLong() }, OnnxJavaType.INT64)
    }

    fun ints(all: IntArray, vararg shape: Int): OnnxTensor {
        val buffer = direct(4L * all.size)
        buffer.asIntBuffer().put(all)
        return tensor(buffer, LongArray(shape.size) { shape[it].toLong() }, OnnxJavaType.INT32)
    }

    /** Runs for some outputs, of each of which [read] is given the shape and the numbers. */
    fun <T> floats(given: Map<String, OnnxTensor>, wanted: List<String>, read: (LongArray, FloatBuffer) -> T): List<T> = guarded("failed") {
        session.run(given, wanted.toSet()).use { result ->
            wanted.map { name ->
                val tensor = result.get(name).get() as OnnxTensor
                read(tensor.info.shape, tensor.floatBuffer ?: fail(Reason.ENGINE, "output $name is no float32"))
            }
        }
    }

    //region text-generation, translation
    /** Runs with values that the engine writes its outputs into. */
    fun run(given: Map<String, OnnxTensor>, wanted: Map<String, OnnxTensor>) = guarded("failed") { session.run(given, wanted).close() }
    //endregion

    override fun close() {
        session.close()
        last.close()
        map = null
    }

    private inline fun <T> guarded(what: String, step: () -> T): T = try {
        step()
    } catch (error: Throwable) {
        throw told(what, error)
    }

    private fun told(what: String, error: Throwable): Throwable = when (error) {
        is OrtException -> EdgewrightException(Reason.ENGINE, "ONNX Runtime $what: ${error.message}", error)
        is LinkageError -> // no library of it for this ABI, or another version of its classes
            EdgewrightException(Reason.ENGINE, "ONNX Runtime $what here: ${error.message ?: error.cause?.message}", error)
        is OutOfMemoryError -> EdgewrightException(Reason.MEMORY, "there is not enough memory: ONNX Runtime $what", error)
        else -> error
    }
}

/** Memory of the engine's and ours. */
internal fun direct(size: Long): ByteBuffer {
    if (size > Int.MAX_VALUE) fail(Reason.MEMORY, "a cache of $size bytes is more than a buffer can have")
    return ByteBuffer.allocateDirect(size.toInt()).order(ByteOrder.nativeOrder())
}

/** Whether this CPU adds pairs of u8 x s8 products in 16 bits, where they can saturate: x86 without VNNI. */
private fun saturates(): Boolean {
    if (System.getProperty("os.arch") !in setOf("amd64", "x86_64", "i686", "x86")) return false
    val flags = try {
        File("/proc/cpuinfo").useLines { lines -> lines.firstOrNull { it.startsWith("flags") } }
    } catch (error: java.io.IOException) {
        null
    }
    return flags == null || "avx512_vnni" !in flags && "avx_vnni" !in flags
}
