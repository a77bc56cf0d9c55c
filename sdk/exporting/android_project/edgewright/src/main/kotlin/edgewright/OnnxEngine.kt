package edgewright

import ai.onnxruntime.OnnxJavaType
import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtException
import ai.onnxruntime.OrtLoggingLevel
import ai.onnxruntime.OrtSession
import ai.onnxruntime.OrtSession.SessionOptions
import edgewright.EdgewrightException.Reason
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.FloatBuffer
import java.nio.IntBuffer
import java.nio.LongBuffer

internal fun engine(model: Asset, threads: Int): Engine = OnnxEngine(model, threads)

internal fun decoding(model: Asset, threads: Int, settings: Settings): Decoding = OnnxDecoding(OnnxEngine(model, threads, picks = true), settings)

internal fun translating(encoder: Asset, model: Asset, threads: Int, settings: Settings): Translating {
    val reads = OnnxEngine(encoder, threads)
    return try {
        OnnxTranslating(reads, OnnxEngine(model, threads), settings)
    } catch (error: EdgewrightException) {
        reads.close()
        throw error
    }
}

internal fun opensFilesAlone(): Boolean = false

/**
 * ONNX Runtime. A mapped .ort file's weights are used where they lie, an .onnx file is read and copied by the engine. One that
 * [picks] gives the logits of the last token alone, as a decoder is asked.
 */
internal class OnnxEngine(private val model: Asset, threads: Int, private val picks: Boolean = false) : Engine {
    private val environment = guarded("does not load") { OrtEnvironment.getEnvironment(OrtLoggingLevel.ORT_LOGGING_LEVEL_ERROR, "edgewright") }
    private val session: OrtSession
    private var map: ByteBuffer? = null // stays as long as the session, which uses an .ort file's weights where they lie

    /** Of one that picks: its graph has the number as a default, which Java cannot be given. */
    private val last = tensor(ByteBuffer.allocateDirect(8).order(ByteOrder.nativeOrder()).putLong(0, 1), longArrayOf(1), OnnxJavaType.INT64)

    init {
        session = guarded("does not open ${model.name}") {
            environment.setTelemetry(false)
            val exact = saturates() // products of int8 in the form that never does
            try {
                open(threads, exact)
            } catch (error: OrtException) { // one that refuses the exact form takes the other
                if (exact) open(threads, false) else throw error
            }
        }
    }

    private fun open(threads: Int, exact: Boolean): OrtSession = SessionOptions().use { options ->
        options.setIntraOpNumThreads(threads)
        options.setInterOpNumThreads(1)
        options.setMemoryPatternOptimization(false) // texts have all lengths
        options.addConfigEntry("session.use_ort_model_bytes_directly", "1")
        options.addConfigEntry("session.use_ort_model_bytes_for_initializers", "1")
        if (exact) options.addConfigEntry("session.x64quantprecision", "1")
        if (picks) options.addInitializer("num_logits_to_keep", last)
        val path = model.path
        if (path != null) environment.createSession(path, options) else environment.createSession(model.map().also { map = it }, options)
    }

    override fun run(inputs: List<Input>, values: List<LongArray>, rows: Int, outputs: List<String>): List<Output> = guarded("failed") {
        val given = LinkedHashMap<String, OnnxTensor>()
        try {
            for ((at, input) in inputs.withIndex()) given[input.name] = tensor(input, values[at], rows)
            session.run(given, outputs.toSet()).use { result -> outputs.map { output(it, result.get(it).get() as OnnxTensor) } }
        } finally {
            given.values.forEach { it.close() }
        }
    }

    private fun tensor(input: Input, values: LongArray, rows: Int): OnnxTensor {
        val shape = longArrayOf(rows.toLong(), values.size.toLong() / rows)
        if (input.wide) return OnnxTensor.createTensor(environment, LongBuffer.wrap(values), shape)
        return OnnxTensor.createTensor(environment, IntBuffer.wrap(IntArray(values.size) { values[it].toInt() }), shape)
    }

    private fun output(name: String, tensor: OnnxTensor): Output {
        val data = tensor.floatBuffer ?: fail(Reason.ENGINE, "output $name is no float32")
        val whole = data.hasArray() && data.array().size == data.remaining() // it is a copy of the engine's already
        return Output(tensor.info.shape, if (whole) data.array() else FloatArray(data.remaining()).also { data.get(it) })
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

    /** Runs for one output, of which [read] is given the shape and the numbers. */
    fun floats(given: Map<String, OnnxTensor>, wanted: String, read: (LongArray, FloatBuffer) -> Unit) = guarded("failed") {
        session.run(given, setOf(wanted)).use { result ->
            val tensor = result.get(wanted).get() as OnnxTensor
            read(tensor.info.shape, tensor.floatBuffer ?: fail(Reason.ENGINE, "output $wanted is no float32"))
        }
    }

    /** Runs with values that the engine writes its outputs into. */
    fun run(given: Map<String, OnnxTensor>, wanted: Map<String, OnnxTensor>) = guarded("failed") { session.run(given, wanted).close() }

    override fun close() {
        session.close()
        last.close()
        map = null
    }

    private inline fun <T> guarded(what: String, step: () -> T): T = try {
        step()
    } catch (error: OrtException) {
        fail(Reason.ENGINE, "ONNX Runtime $what: ${error.message}", error)
    } catch (error: LinkageError) { // no library of it for this ABI, or another version of its classes
        fail(Reason.ENGINE, "ONNX Runtime $what here: ${error.message ?: error.cause?.message}", error)
    } catch (error: OutOfMemoryError) {
        fail(Reason.MEMORY, "there is not enough memory: ONNX Runtime $what", error)
    }
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
