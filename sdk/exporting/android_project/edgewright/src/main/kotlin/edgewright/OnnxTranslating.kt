package edgewright

import ai.onnxruntime.OnnxJavaType
import ai.onnxruntime.OnnxTensor
import edgewright.EdgewrightException.Reason
import java.nio.FloatBuffer

internal fun translating(encoder: Asset, model: Asset, threads: Int, settings: Settings): Translating {
    val layers = settings.layers()
    val reads = OnnxRunner(encoder, threads)
    return try {
        OnnxTranslating(reads, OnnxRunner(model, threads), settings, layers)
    } catch (error: EdgewrightException) {
        reads.close()
        throw error
    }
}

/**
 * An encoder and a decoder by ONNX Runtime. The keys and values of a text that is read are given to each step as they came from
 * the encoder; those of what is written lie in a cache with a row for each beam.
 */
internal class OnnxTranslating(private val encoder: OnnxRunner, private val decoder: OnnxRunner, settings: Settings, layers: List<Layer>) : Translating {
    private val words = settings.number("vocabulary")
    private val places = settings.number("places") != 0
    private val crossNames = settings.texts("cross")
    private val cache = OnnxCache(decoder, layers, FIRST_SLOTS, settings.maxLength)
    private var rows = 0
    private var length = 0
    private var source = emptyMap<String, OnnxTensor>() // what every step is given of the text that was read
    private var logits: FloatBuffer? = null
    private var made: OnnxTensor? = null

    override fun begin(ids: IntArray, beams: Int) {
        forget()
        val mask = decoder.longs(LongArray(ids.size) { 1 }, 1, ids.size)
        source = mapOf("attention_mask" to mask)
        encoder.longs(LongArray(ids.size) { ids[it].toLong() }, 1, ids.size).use { read ->
            encoder.floats(mapOf("input_ids" to read, "attention_mask" to mask), listOf("cross")) { shape, numbers -> source = source + crossed(shape, numbers, ids.size) }
        }
        if (beams == rows) return
        made?.close()
        val buffer = direct(4L * beams * words)
        logits = buffer.asFloatBuffer()
        made = decoder.tensor(buffer, longArrayOf(beams.toLong(), 1, words.toLong()), OnnxJavaType.FLOAT)
        rows = beams
    }

    /** What the encoder gave (keys and values of all layers, 1, heads, tokens, width), as what the decoder is given. */
    private fun crossed(shape: LongArray, numbers: FloatBuffer, tokens: Int): Map<String, OnnxTensor> {
        val fits = shape.size == RANK && shape[0] == crossNames.size.toLong() && shape[1] == 1L && shape[3] == tokens.toLong()
        if (!fits) fail(Reason.ENGINE, "the encoder gives no keys and values of $tokens tokens for ${crossNames.size} inputs of the decoder")
        val whole = direct(4L * numbers.remaining())
        whole.asFloatBuffer().put(numbers)
        val each = whole.capacity() / crossNames.size
        return crossNames.withIndex().associate { (at, name) ->
            whole.limit((at + 1) * each)
            whole.position(at * each)
            name to decoder.tensor(whole.slice().order(whole.order()), shape.copyOfRange(1, RANK), OnnxJavaType.FLOAT)
        }
    }

    override fun step(tokens: IntArray): FloatArray {
        cache.reserve(rows, length + 1, length)
        val given = LinkedHashMap<String, OnnxTensor>()
        given["input_ids"] = decoder.longs(LongArray(rows) { tokens[it].toLong() }, rows, 1)
        given["ends"] = decoder.ints(IntArray(rows) { length }, rows)
        given["total"] = decoder.ints(intArrayOf(length + 1))
        if (places) given["position"] = decoder.longs(longArrayOf(length.toLong()), 1)
        val own = given.values.toList()
        val wanted = linkedMapOf("logits" to made!!)
        given += source
        cache.join(given, wanted)
        try {
            decoder.run(given, wanted)
        } finally {
            own.forEach { it.close() }
        }
        length++
        return FloatArray(rows * words).also { logits!!.duplicate().get(it) }
    }

    override fun reorder(parents: IntArray) = cache.reorder(parents, length)

    private fun forget() {
        source.values.forEach { it.close() }
        source = emptyMap()
        length = 0
    }

    override fun close() {
        forget()
        cache.close()
        made?.close()
        encoder.close()
        decoder.close()
    }
}

private const val FIRST_SLOTS = 32 // most sentences
private const val RANK = 5 // of what the encoder gives
