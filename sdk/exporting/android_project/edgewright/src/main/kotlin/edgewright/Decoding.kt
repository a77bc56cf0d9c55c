package edgewright

import java.io.Closeable

/** What runs the graph of a model that writes, with its cache. */
internal interface Decoding : Closeable {
    /** The most tokens that it reads. */
    val context: Int

    /** Reads tokens after the first [past] that are in the cache: the logits of what follows the last one. */
    fun read(ids: IntArray, from: Int, count: Int, past: Int): FloatArray
}
