package edgewright

import ai.onnxruntime.OnnxJavaType
import ai.onnxruntime.OnnxTensor
import java.nio.FloatBuffer

internal fun decoding(model: Asset, threads: Int, settings: Settings): Decoding {
    val layers = settings.layers()
    return OnnxDecoding(OnnxRunner(model, threads, picks = true), settings, layers)
}

/** A decoder by ONNX Runtime. */
internal class OnnxDecoding(private val engine: OnnxRunner, settings: Settings, layers: List<Layer>) : Decoding {
    override val context = settings.maxLength
    private val words = settings.number("vocabulary")
    private val places = settings.number("places") != 0
    private val cache = OnnxCache(engine, layers, FIRST_SLOTS, context)
    private val logits: FloatBuffer
    private val made: OnnxTensor

    init {
        val buffer = direct(4L * words)
        logits = buffer.asFloatBuffer()
        made = engine.tensor(buffer, longArrayOf(1, 1, words.toLong()), OnnxJavaType.FLOAT)
    }

    override fun read(ids: IntArray, from: Int, count: Int, past: Int): FloatArray {
        cache.reserve(1, past + count, past)
        val given = LinkedHashMap<String, OnnxTensor>()
        given["input_ids"] = engine.longs(LongArray(count) { ids[from + it].toLong() }, 1, count)
        given["attention_mask"] = engine.longs(LongArray(past + count) { 1 }, 1, past + count)
        if (places) given["position_ids"] = engine.longs(LongArray(count) { past + it.toLong() }, 1, count)
        val own = given.values.toList()
        val wanted = linkedMapOf("logits" to made)
        cache.join(given, wanted)
        try {
            engine.run(given, wanted)
        } finally {
            own.forEach { it.close() }
        }
        return FloatArray(words).also { logits.duplicate().get(it) }
    }

    override fun close() {
        cache.close()
        made.close()
        engine.close()
    }
}

private const val FIRST_SLOTS = 256 // a short question and its answer
