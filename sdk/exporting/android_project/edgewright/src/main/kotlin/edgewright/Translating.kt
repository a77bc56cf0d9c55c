package edgewright

import java.io.Closeable

/** What runs the graphs of a model that translates: an encoder, and a decoder whose cache has a row for each beam. */
internal interface Translating : Closeable {
    /** Reads a text, of which nothing is written yet. */
    fun begin(ids: IntArray, beams: Int)

    /** Reads a token more of each beam: the logits of what follows, beam by beam. */
    fun step(tokens: IntArray): FloatArray

    /** Has each beam go on from what beam `parents[beam]` has written. */
    fun reorder(parents: IntArray)
}
