package edgewright

import edgewright.EdgewrightException.Reason
import java.io.Closeable
import java.nio.FloatBuffer
import org.tensorflow.lite.Interpreter

internal fun engine(model: Asset, threads: Int): Engine = LiteRtEngine(LiteRtRunner(model, threads))

internal fun decoding(model: Asset, threads: Int, settings: Settings): Decoding = LiteRtDecoding(LiteRtRunner(model, threads), settings)

@Suppress("UNUSED_PARAMETER")
internal fun translating(encoder: Asset, model: Asset, threads: Int, settings: Settings): Translating =
    fail(Reason.TASK, "the library has no ${settings.task} on LiteRT: export it with --format onnx")

internal fun opensFilesAlone(): Boolean = false

/** LiteRT's interpreter; a mapped file's weights are read where they lie. What goes wrong is an [EdgewrightException]. */
internal class LiteRtRunner(model: Asset, threads: Int) : Closeable {
    private val interpreter = guarded("does not open ${model.name}") { Interpreter(model.map(), Interpreter.Options().setNumThreads(threads)) }
    val keys: List<String> = guarded("does not open ${model.name}") { interpreter.signatureKeys.toList() }

    fun inputs(key: String): List<String> = guarded("has no $key") { interpreter.getSignatureInputs(key).toList() }

    fun shape(input: String, key: String): IntArray = guarded("has no $input") { interpreter.getInputTensorFromSignature(input, key).shape() }

    fun madeShape(output: String, key: String): IntArray = guarded("has no $output") { interpreter.getOutputTensorFromSignature(output, key).shape() }

    fun run(given: Map<String, Any>, made: Map<String, Any>, key: String) = guarded("failed") { interpreter.runSignature(given, made, key) }

    override fun close() = interpreter.close()

    private inline fun <T> guarded(what: String, step: () -> T): T = try {
        step()
    } catch (error: IllegalArgumentException) {
        fail(Reason.ENGINE, "LiteRT $what: ${error.message}", error)
    } catch (error: IllegalStateException) {
        fail(Reason.ENGINE, "LiteRT $what: ${error.message}", error)
    } catch (error: LinkageError) { // no library of it for this ABI
        fail(Reason.ENGINE, "LiteRT $what here: ${error.message ?: error.cause?.message}", error)
    } catch (error: OutOfMemoryError) {
        fail(Reason.MEMORY, "there is not enough memory: LiteRT $what", error)
    }
}

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
