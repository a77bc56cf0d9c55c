package edgewright

import edgewright.EdgewrightException.Reason
import java.io.Closeable
import org.pytorch.executorch.EValue
import org.pytorch.executorch.Module
import org.pytorch.executorch.Tensor

//region translation
@Suppress("UNUSED_PARAMETER")
internal fun translating(encoder: Asset, model: Asset, threads: Int, settings: Settings): Translating =
    fail(Reason.TASK, "the library has no ${settings.task} on ExecuTorch: export it with --format onnx")
//endregion

internal fun opensFilesAlone(): Boolean = true

/** A program of ExecuTorch, which maps the file itself. One run at a time: others wait. What goes wrong is an [EdgewrightException]. */
internal class ExecuTorchProgram(model: Asset, threads: Int) : Closeable {
    private val module = guarded("does not open ${model.name}") {
        Module.load(model.path ?: fail(Reason.FILE, "${model.name} lies in an archive, ExecuTorch opens a file"), Module.LOAD_MODE_MMAP, threads)
    }

    /** Rows of int64 -> what forward makes of them. */
    @Synchronized
    fun run(given: List<LongArray>, shapes: List<LongArray>): List<Output> = guarded("failed") {
        val made = module.forward(*Array(given.size) { EValue.from(Tensor.fromBlob(given[it], shapes[it])) })
        made.map { it.toTensor() }.map { Output(it.shape(), it.dataAsFloatArray) }
    }

    /** What a method without inputs says. */
    fun number(method: String): Int = guarded("has no $method") { module.execute(method)[0].toInt().toInt() }

    override fun close() = module.destroy()

    private inline fun <T> guarded(what: String, step: () -> T): T = try {
        step()
    } catch (error: EdgewrightException) {
        throw error
    } catch (error: RuntimeException) {
        fail(Reason.ENGINE, "ExecuTorch $what: ${error.message}", error)
    } catch (error: LinkageError) { // no library of it for this ABI
        fail(Reason.ENGINE, "ExecuTorch $what here: ${error.message ?: error.cause?.message}", error)
    } catch (error: OutOfMemoryError) {
        fail(Reason.MEMORY, "there is not enough memory: ExecuTorch $what", error)
    }
}
