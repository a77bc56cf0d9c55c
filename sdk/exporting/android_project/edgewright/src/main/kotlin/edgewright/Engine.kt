package edgewright

import java.io.Closeable

/** Numbers that a graph gave, row by row. */
internal class Output(val shape: LongArray, val data: FloatArray)

/** What runs a graph. An engine is one file that implements this; threads may run it at once. */
internal interface Engine : Closeable {
    /**
     * Runs rows of tokens.
     *
     * [values] has the numbers of each input in order, [rows] times as many as a row is long; one [Output] for each of
     * [outputs]. Throws [EdgewrightException].
     */
    fun run(inputs: List<Input>, values: List<LongArray>, rows: Int, outputs: List<String>): List<Output>
}

/** Keys or values of a layer, as model.txt says them. */
internal class Layer(val name: String, val type: String, val heads: Int, val width: Int) {
    val present = "present" + name.substring(name.indexOf('.'))
    val bytes = when (type) {
        "float32" -> 4
        "float16" -> 2
        else -> 1
    }
}

/** What runs the graph of a model that writes, with its cache. */
internal interface Decoding : Closeable {
    /** The most tokens that it reads. */
    val context: Int

    /** Reads tokens after the first [past] that are in the cache: the logits of what follows the last one. */
    fun read(ids: IntArray, from: Int, count: Int, past: Int): FloatArray
}

/** What runs the graphs of a model that translates: an encoder, and a decoder whose cache has a row for each beam. */
internal interface Translating : Closeable {
    /** Reads a text, of which nothing is written yet. */
    fun begin(ids: IntArray, beams: Int)

    /** Reads a token more of each beam: the logits of what follows, beam by beam. */
    fun step(tokens: IntArray): FloatArray

    /** Has each beam go on from what beam `parents[beam]` has written. */
    fun reorder(parents: IntArray)
}
