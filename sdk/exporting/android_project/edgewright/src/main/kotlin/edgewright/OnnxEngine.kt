package edgewright

import ai.onnxruntime.OnnxTensor
import java.nio.FloatBuffer

internal fun engine(model: Asset, threads: Int): Engine = OnnxEngine(OnnxRunner(model, threads))

/** An encoder by ONNX Runtime. */
internal class OnnxEngine(private val runner: OnnxRunner) : Engine {
    override fun run(inputs: List<Input>, values: List<LongArray>, rows: Int, outputs: List<String>): List<Output> {
        val given = LinkedHashMap<String, OnnxTensor>()
        try {
            for ((at, input) in inputs.withIndex()) given[input.name] = tensor(input, values[at], rows)
            return runner.floats(given, outputs) { shape, data -> Output(shape, array(data)) }
        } finally {
            given.values.forEach { it.close() }
        }
    }

    private fun tensor(input: Input, values: LongArray, rows: Int): OnnxTensor {
        val length = values.size / rows
        return if (input.wide) runner.longs(values, rows, length) else runner.ints(IntArray(values.size) { values[it].toInt() }, rows, length)
    }

    private fun array(data: FloatBuffer): FloatArray {
        val whole = data.hasArray() && data.array().size == data.remaining() // it is a copy of the engine's already
        return if (whole) data.array() else FloatArray(data.remaining()).also { data.get(it) }
    }

    override fun close() = runner.close()
}
