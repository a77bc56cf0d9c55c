package edgewright

import edgewright.EdgewrightException.Reason
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.FloatBuffer

internal fun decoding(model: Asset, threads: Int, settings: Settings): Decoding = LiteRtDecoding(LiteRtRunner(model, threads), settings)

/**
 * A decoder by LiteRT's interpreter: a signature for one token and one for a chunk of them. Keys and values of a layer lie in one
 * buffer, which goes in and comes out; a chunk's end that is no token is written over before it is seen.
 */
internal class LiteRtDecoding(private val engine: LiteRtRunner, settings: Settings) : Decoding {
    private val many = engine.keys.firstOrNull { it.startsWith("prefill_") } ?: fail(Reason.ALTERED, "the model reads no prompt: it is no decoder's")
    private val chunk = engine.shape("tokens", many)[1]
    private val caches = engine.inputs(ONE).filter { it.startsWith("kv_cache_") }
    private val slots = engine.shape(caches.firstOrNull() ?: fail(Reason.ALTERED, "the model has no cache: it is no decoder's"), ONE)[2]
    override val context = minOf(settings.maxLength, slots)
    private val words = settings.number("vocabulary")
    private val cache = caches.associateWith { name -> direct(engine.shape(name, ONE).fold(4, Int::times)) }
    private val logits = mapOf(ONE to floats(words), many to floats(chunk * words))

    override fun read(ids: IntArray, from: Int, count: Int, past: Int): FloatArray {
        var at = 0
        var key = ONE
        var taken = 0
        while (at < count) {
            // One that reached over the last slot would be moved back over what is there
            key = if (count - at > 1 && past + at + chunk <= slots) many else ONE
            taken = if (key == many) minOf(chunk, count - at) else 1
            step(key, IntArray(if (key == many) chunk else 1) { if (it < taken) ids[from + at + it] else 0 }, past + at)
            at += taken
        }
        val found = logits.getValue(key)
        found.position((taken - 1) * words)
        return FloatArray(words).also { found.get(it) }
    }

    private fun step(key: String, tokens: IntArray, past: Int) {
        val out = logits.getValue(key)
        (cache.values + out).forEach { it.rewind() }
        val given = mapOf("tokens" to arrayOf(tokens), "input_pos" to IntArray(tokens.size) { past + it })
        engine.run(given + cache, cache + ("logits" to out), key)
    }

    private fun floats(count: Int): FloatBuffer = direct(4 * count).asFloatBuffer()

    private fun direct(size: Int): ByteBuffer = ByteBuffer.allocateDirect(size).order(ByteOrder.nativeOrder())

    override fun close() = engine.close()
}

private const val ONE = "decode"
