package edgewright

import edgewright.EdgewrightException.Reason
import java.io.Closeable
import org.pytorch.executorch.EValue
import org.pytorch.executorch.Module
import org.pytorch.executorch.Tensor

internal fun engine(model: Asset, threads: Int): Engine = ExecuTorchEngine(ExecuTorchProgram(model, threads))

internal fun decoding(model: Asset, threads: Int, settings: Settings): Decoding = ExecuTorchDecoding(ExecuTorchProgram(model, threads), settings)

@Suppress("UNUSED_PARAMETER")
internal fun translating(encoder: Asset, model: Asset, threads: Int, settings: Settings): Translating =
    fail(Reason.TASK, "the library has no ${settings.task} on ExecuTorch: export it with --format onnx")

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

/** Each row is a run of its own, of its real tokens and one of padding, which MobileBERT reads without its mask. */
internal class ExecuTorchEngine(private val program: ExecuTorchProgram) : Engine {
    override fun run(inputs: List<Input>, values: List<LongArray>, rows: Int, outputs: List<String>): List<Output> {
        val length = values[0].size / rows
        val mask = values.getOrNull(inputs.indexOfFirst { it.name == "attention_mask" })
        val made = List(rows) { row ->
            val last = if (mask == null) length - 1 else (length - 1 downTo 0).firstOrNull { mask[row * length + it] != 0L } ?: 0
            val read = minOf(last + 2, length)
            val given = values.map { it.copyOfRange(row * length, row * length + read) }
            program.run(given, given.map { longArrayOf(1, read.toLong()) })
        }
        return outputs.indices.map { joined(made.map { all -> all[it] }, length, tokens = outputs[it].endsWith("_logits")) } // start_logits, end_logits
    }

    /** Rows as one output, zeros behind those of tokens that are fewer. */
    private fun joined(made: List<Output>, length: Int, tokens: Boolean): Output {
        val shape = made[0].shape.copyOf()
        val last = if (shape.size > 2) shape[2].toInt() else 1
        val each = if (shape.size > 2 || tokens) length * last else shape[1].toInt()
        shape[0] = made.size.toLong()
        shape[1] = (each / last).toLong()
        val all = FloatArray(made.size * each)
        for ((row, one) in made.withIndex()) one.data.copyInto(all, row * each)
        return Output(shape, all)
    }

    override fun close() = program.close()
}
