package edgewright

internal fun engine(model: Asset, threads: Int): Engine = ExecuTorchEngine(ExecuTorchProgram(model, threads))

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
