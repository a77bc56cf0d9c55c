package edgewright

import java.io.Closeable

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
