package edgewright

import ai.onnxruntime.OnnxJavaType
import ai.onnxruntime.OnnxTensor
import java.nio.ByteBuffer

/**
 * Keys and values for ONNX Runtime: of a layer in one buffer that is input and output at once, into which the engine writes in
 * place. There is a row for each text that is followed; the buffers begin with [first] tokens and grow by doubling.
 */
internal class OnnxCache(private val engine: OnnxRunner, private val layers: List<Layer>, private val first: Int, private val context: Int) {
    private var rows = 0
    private var slots = 0
    private val data = arrayOfNulls<ByteBuffer>(layers.size)
    private val values = arrayOfNulls<OnnxTensor>(layers.size)
    private var moved = ByteBuffer.allocate(0) // rows of a layer on their way to other ones

    /** Room for so many tokens of each row; the first ones are kept where there are as many rows as before. */
    fun reserve(texts: Int, tokens: Int, kept: Int) {
        if (texts == rows && tokens <= slots) return
        val had = if (texts == rows) slots else 0
        var wanted = maxOf(had, first)
        while (wanted < tokens) wanted *= 2
        wanted = minOf(wanted, context)
        slots = 0 // until all have grown: where memory ends in between, the next call begins anew
        rows = texts
        for ((at, layer) in layers.withIndex()) {
            val row = layer.width * layer.bytes
            val grown = direct(rows * layer.heads.toLong() * wanted * row)
            if (had > 0) for (strip in 0 until rows * layer.heads) copy(data[at]!!, strip * had * row, grown, strip * wanted * row, kept * row)
            values[at]?.close()
            data[at] = grown
            val shape = longArrayOf(rows.toLong(), layer.heads.toLong(), wanted.toLong(), layer.width.toLong())
            values[at] = engine.tensor(grown, shape, type(layer))
        }
        slots = wanted
    }

    /** Has each row go on from the first [kept] tokens of row `parents[row]`. */
    fun reorder(parents: IntArray, kept: Int) {
        for ((at, layer) in layers.withIndex()) {
            val whole = data[at]!!
            val size = layer.width * layer.bytes
            if (moved.capacity() < whole.capacity()) moved = direct(whole.capacity().toLong())
            for (back in listOf(false, true)) for (row in parents.indices) if (parents[row] != row) for (head in 0 until layer.heads) {
                val to = (row * layer.heads + head) * slots * size
                val from = (parents[row] * layer.heads + head) * slots * size
                if (back) copy(moved, to, whole, to, kept * size) else copy(whole, from, moved, to, kept * size)
            }
        }
    }

    /** Puts them among what a run is given and what it writes. */
    fun join(given: MutableMap<String, OnnxTensor>, wanted: MutableMap<String, OnnxTensor>) {
        for ((at, layer) in layers.withIndex()) {
            given[layer.name] = values[at]!!
            wanted[layer.present] = values[at]!!
        }
    }

    fun close() = values.forEach { it?.close() }

    private fun copy(from: ByteBuffer, at: Int, to: ByteBuffer, place: Int, size: Int) {
        val source = from.duplicate()
        source.limit(at + size)
        source.position(at)
        val target = to.duplicate()
        target.position(place)
        target.put(source)
    }

    private fun type(layer: Layer) = when (layer.type) {
        "float32" -> OnnxJavaType.FLOAT
        "float16" -> OnnxJavaType.FLOAT16
        else -> OnnxJavaType.INT8
    }
}
