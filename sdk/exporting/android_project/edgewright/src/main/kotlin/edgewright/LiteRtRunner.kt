package edgewright

import edgewright.EdgewrightException.Reason
import java.io.Closeable
import org.tensorflow.lite.Interpreter

//region translation
@Suppress("UNUSED_PARAMETER")
internal fun translating(encoder: Asset, model: Asset, threads: Int, settings: Settings): Translating =
    fail(Reason.TASK, "the library has no ${settings.task} on LiteRT: export it with --format onnx")
//endregion

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
