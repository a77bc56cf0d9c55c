package org.pytorch.executorch

import java.io.DataInputStream
import java.io.DataOutputStream

/**
 * ExecuTorch's Java interface as far as the library uses it, on a JVM, for which ExecuTorch has no library: the engine is the real
 * one, in a process of Python (EW_PYTHON, EW_SERVER: executorch_server.py).
 */
class Module private constructor(path: String, threads: Int) {
    private val process = ProcessBuilder(System.getenv("EW_PYTHON"), System.getenv("EW_SERVER"), path, "$threads").start()
    private val asked = DataOutputStream(process.outputStream.buffered())
    private val said = DataInputStream(process.inputStream.buffered())

    fun forward(vararg given: EValue): Array<EValue> = execute("forward", *given)

    fun execute(method: String, vararg given: EValue): Array<EValue> {
        asked.writeUTF(method)
        asked.writeInt(given.size)
        for (tensor in given.map { it.toTensor() }) {
            asked.writeInt(tensor.shape().size)
            tensor.shape().forEach(asked::writeLong)
            tensor.longs.forEach(asked::writeLong)
        }
        asked.flush()
        return Array(said.readInt()) {
            val rank = said.readInt()
            val shape = LongArray(maxOf(rank, 0)) { said.readLong() }
            if (rank < 0) EValue(null, said.readLong()) else EValue(Tensor(LongArray(0), FloatArray(shape.fold(1L, Long::times).toInt()) { said.readFloat() }, shape), 0)
        }
    }

    fun destroy() {
        asked.close()
        process.waitFor()
    }

    companion object {
        const val LOAD_MODE_MMAP = 1

        @JvmStatic
        fun load(path: String, @Suppress("UNUSED_PARAMETER") mode: Int, threads: Int): Module = Module(path, threads)
    }
}

class EValue internal constructor(private val tensor: Tensor?, private val number: Long) {
    fun toTensor(): Tensor = tensor ?: throw IllegalStateException("Expected EValue type 1, actual type 4")

    fun toInt(): Long = number

    companion object {
        @JvmStatic
        fun from(tensor: Tensor): EValue = EValue(tensor, 0)
    }
}

class Tensor internal constructor(internal val longs: LongArray, private val floats: FloatArray, private val dims: LongArray) {
    fun shape(): LongArray = dims

    val dataAsFloatArray: FloatArray get() = floats

    companion object {
        @JvmStatic
        fun fromBlob(data: LongArray, shape: LongArray): Tensor = Tensor(data, FloatArray(0), shape)
    }
}
