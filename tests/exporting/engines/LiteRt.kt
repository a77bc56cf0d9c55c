package org.tensorflow.lite

import java.io.Closeable
import java.io.DataInputStream
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.FloatBuffer
import java.nio.MappedByteBuffer

/**
 * LiteRT's Java interface as far as the library uses it, on a JVM, for which LiteRT has no library: the engine is the real one, in
 * a process of `devices/run.c` (EW_RUNNER), which loads it (EW_ENGINE) and runs a file's signatures.
 */
class Interpreter(model: ByteBuffer, options: Options) : Closeable {
    class Options {
        internal var threads = 1

        fun setNumThreads(count: Int): Options = apply { threads = count }
    }

    init {
        val taken = model is MappedByteBuffer || model.isDirect && model.order() == ByteOrder.nativeOrder() // as LiteRT's own asks
        if (!taken) throw IllegalArgumentException("a model's buffer is mapped, or it is direct and of the native order")
    }

    private class Signature(val key: String, val inputs: List<Named>, val outputs: List<Named>)

    private val file = File.createTempFile("model", ".tflite").apply {
        deleteOnExit()
        writeBytes(ByteArray(model.remaining()).also { model.duplicate().get(it) })
    }
    private val process = ProcessBuilder(System.getenv("EW_RUNNER"), "infer", System.getenv("EW_ENGINE"), file.path, "${options.threads}", "3600").start()
    private val said = DataInputStream(process.inputStream.buffered())
    private val signatures: List<Signature>

    init {
        while (line() != "edgewright-run 1") Unit
        val fields = ask('T').drop(2).iterator()
        signatures = List(number(fields.next())) {
            val key = String(fields.next())
            val inputs = number(fields.next())
            val all = List(inputs + number(fields.next())) { tensor(fields) }
            Signature(key, all.take(inputs), all.drop(inputs))
        }
    }

    val signatureKeys: Array<String> get() = signatures.map { it.key }.toTypedArray()

    fun getSignatureInputs(key: String): Array<String> = of(key).inputs.map { it.name }.toTypedArray()

    fun getInputTensorFromSignature(name: String, key: String): Tensor = named(of(key).inputs, name)

    fun getOutputTensorFromSignature(name: String, key: String): Tensor = named(of(key).outputs, name)

    fun runSignature(given: Map<String, Any>, made: Map<String, Any>, key: String) {
        val signature = of(key)
        val sent = signature.inputs.map { bytes(given[it.name] ?: throw IllegalArgumentException("Input error: ${it.name} is missing")) }
        val found = ask('R', field(signatures.indexOf(signature)), *sent.toTypedArray()).drop(1)
        for ((tensor, data) in signature.outputs.zip(found)) when (val to = made[tensor.name]) {
            is FloatBuffer -> to.put(wrapped(data).asFloatBuffer())
            is ByteBuffer -> to.put(data)
        }
    }

    override fun close() {
        process.outputStream.close()
        process.waitFor()
    }

    private fun of(key: String) = signatures.firstOrNull { it.key == key } ?: throw IllegalArgumentException("Invalid signature key $key")

    private fun named(all: List<Named>, name: String) = all.firstOrNull { it.name == name } ?: throw IllegalArgumentException("Input error: input $name not found")

    private fun bytes(value: Any): ByteArray = when (value) {
        is IntArray -> ByteBuffer.allocate(4 * value.size).order(ByteOrder.LITTLE_ENDIAN).also { value.forEach(it::putInt) }.array()
        is ByteBuffer -> ByteArray(value.capacity()).also { all -> value.duplicate().apply { rewind() }.get(all) }
        else -> bytes((value as Array<*>)[0]!!)
    }

    private fun tensor(fields: Iterator<ByteArray>): Named {
        val name = String(fields.next())
        repeat(3) { fields.next() } // type, scale, zero point
        return wrapped(fields.next()).let { dims -> Named(name, IntArray(dims.remaining() / 4) { dims.getInt() }) }
    }

    private fun ask(letter: Char, vararg fields: ByteArray): List<ByteArray> {
        val size = 1 + fields.sumOf { 4 + it.size }
        val frame = ByteBuffer.allocate(4 + size).order(ByteOrder.LITTLE_ENDIAN).putInt(size).put(letter.code.toByte())
        for (one in fields) frame.putInt(one.size).put(one)
        process.outputStream.apply {
            write(frame.array())
            flush()
        }
        val answer = wrapped(read(wrapped(read(4)).getInt()))
        val status = answer.getInt()
        val found = ArrayList<ByteArray>()
        while (answer.hasRemaining()) found += ByteArray(answer.getInt()).also { answer.get(it) }
        if (status != 0) throw IllegalStateException(found.joinToString { String(it) })
        return found
    }

    private fun read(size: Int) = ByteArray(size).also { said.readFully(it) }

    private fun line(): String = generateSequence { said.readByte().toInt().toChar() }.takeWhile { it != '\n' }.joinToString("")

    private fun wrapped(data: ByteArray): ByteBuffer = ByteBuffer.wrap(data).order(ByteOrder.LITTLE_ENDIAN)

    private fun number(data: ByteArray): Int = wrapped(data).getLong().toInt()

    private fun field(value: Int): ByteArray = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(value.toLong()).array()
}

interface Tensor {
    fun shape(): IntArray
}

private class Named(val name: String, private val dims: IntArray) : Tensor {
    override fun shape(): IntArray = dims
}
