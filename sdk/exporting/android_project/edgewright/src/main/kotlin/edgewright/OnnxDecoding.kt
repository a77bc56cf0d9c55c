package edgewright

import ai.onnxruntime.OnnxJavaType
import ai.onnxruntime.OnnxTensor
import edgewright.EdgewrightException.Reason
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.FloatBuffer

/**
 * A decoder by ONNX Runtime. Keys and values of a layer lie in one buffer that is input and output at once, into which the
 * engine writes in place; the buffers grow by doubling.
 */
internal class OnnxDecoding(private val engine: OnnxEngine, private val settings: Settings) : Decoding {
    override val context = settings.maxLength
    private val words = settings.number("vocabulary")
    private val places = settings.number("places") != 0
    private var slots = 0
    private val data = arrayOfNulls<ByteBuffer>(settings.layers.size)
    private val values = arrayOfNulls<OnnxTensor>(settings.layers.size)
    private val logits: FloatBuffer
    private val made: OnnxTensor

    init {
        val buffer = direct(4L * words)
        logits = buffer.asFloatBuffer()
        made = engine.tensor(buffer, longArrayOf(1, 1, words.toLong()), OnnxJavaType.FLOAT)
    }

    override fun read(ids: IntArray, from: Int, count: Int, past: Int): FloatArray {
        reserve(past + count, past)
        val given = LinkedHashMap<String, OnnxTensor>()
        given["input_ids"] = row(LongArray(count) { ids[from + it].toLong() })
        given["attention_mask"] = row(LongArray(past + count) { 1 })
        if (places) given["position_ids"] = row(LongArray(count) { past + it.toLong() })
        val own = given.values.toList()
        val wanted = linkedMapOf("logits" to made)
        for ((at, layer) in settings.layers.withIndex()) {
            given[layer.name] = values[at]!!
            wanted[layer.present] = values[at]!!
        }
        try {
            engine.run(given, wanted)
        } finally {
            own.forEach { it.close() }
        }
        return FloatArray(words).also { logits.duplicate().get(it) }
    }

    private fun row(all: LongArray): OnnxTensor {
        val buffer = direct(8L * all.size)
        buffer.asLongBuffer().put(all)
        return engine.tensor(buffer, longArrayOf(1, all.size.toLong()), OnnxJavaType.INT64)
    }

    /** Room for so many tokens; the first ones are kept. */
    private fun reserve(tokens: Int, kept: Int) {
        if (tokens <= slots) return
        var wanted = maxOf(slots, FIRST_SLOTS)
        while (wanted < tokens) wanted *= 2
        wanted = minOf(wanted, context)
        val had = slots
        slots = 0 // until all have grown: where memory ends in between, the next call begins anew
        for ((at, layer) in settings.layers.withIndex()) {
            val row = layer.width * layer.bytes
            val grown = direct(layer.heads.toLong() * wanted * row)
            data[at]?.let { old -> for (head in 0 until layer.heads) copy(old, head * had * row, grown, head * wanted * row, kept * row) }
            values[at]?.close()
            data[at] = grown
            values[at] = engine.tensor(grown, longArrayOf(1, layer.heads.toLong(), wanted.toLong(), layer.width.toLong()), TYPES.getValue(layer.type))
        }
        slots = wanted
    }

    private fun copy(from: ByteBuffer, at: Int, to: ByteBuffer, place: Int, size: Int) {
        val source = from.duplicate()
        source.limit(at + size)
        source.position(at)
        val target = to.duplicate()
        target.position(place)
        target.put(source)
    }

    private fun direct(size: Long): ByteBuffer {
        if (size > Int.MAX_VALUE) fail(Reason.MEMORY, "a cache of $size bytes is more than a buffer can have")
        return ByteBuffer.allocateDirect(size.toInt()).order(ByteOrder.nativeOrder())
    }

    override fun close() {
        (values.toList() + made).forEach { it?.close() }
        engine.close()
    }

    private companion object {
        const val FIRST_SLOTS = 256 // a short question and its answer
        val TYPES = mapOf("float32" to OnnxJavaType.FLOAT, "float16" to OnnxJavaType.FLOAT16, "int8" to OnnxJavaType.INT8)
    }
}
