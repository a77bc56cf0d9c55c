package edgewright

import edgewright.EdgewrightException.Reason
import java.nio.FloatBuffer

internal fun engine(model: Asset, threads: Int): Engine = LiteRtEngine(LiteRtRunner(model, threads))

/**
 * An encoder has a signature for each of some lengths: a row goes into the shortest that holds it, padded with zeros, which a
 * mask of zeros hides. One run at a time: others wait.
 */
internal class LiteRtEngine(private val interpreter: LiteRtRunner) : Engine {
    private val signatures = interpreter.keys.map { key -> interpreter.shape("input_ids", key)[1] to key }.sortedBy { it.first }

    @Synchronized
    override fun run(inputs: List<Input>, values: List<LongArray>, rows: Int, outputs: List<String>): List<Output> {
        val length = values[0].size / rows
        val (longest, key) = signatures.firstOrNull { it.first >= length } ?: fail(Reason.ENGINE, "no signature takes $length tokens")
        val found = outputs.map { Rows(it, interpreter.madeShape(it, key), rows, length) }
        for (row in 0 until rows) {
            val given = HashMap<String, Any>()
            for ((at, input) in inputs.withIndex())
                given[input.name] = arrayOf(IntArray(longest) { if (it < length) values[at][row * length + it].toInt() else 0 })
            interpreter.run(given, found.associate { it.name to it.place }, key)
            found.forEach { it.take(row) }
        }
        return found.map { it.output() }
    }

    override fun close() = interpreter.close()
}

/** An output's rows, each without what it says of padding. */
private class Rows(val name: String, shape: IntArray, private val rows: Int, length: Int) {
    val place: FloatBuffer = FloatBuffer.allocate(shape.fold(1) { all, one -> all * one })
    private val perToken = shape.size > 2 || name.endsWith("_logits") // start_logits and end_logits
    private val shape = LongArray(shape.size) { if (it == 0) rows.toLong() else if (it == 1 && perToken) length.toLong() else shape[it].toLong() }
    private val each = this.shape.drop(1).fold(1L) { all, one -> all * one }.toInt()
    private val data = FloatArray(rows * each)

    fun take(row: Int) {
        place.rewind()
        place.get(data, row * each, each)
        place.rewind()
    }

    fun output() = Output(shape, data)
}
