package edgewright

internal fun decoding(model: Asset, threads: Int, settings: Settings): Decoding = ExecuTorchDecoding(ExecuTorchProgram(model, threads), settings)

/** A decoder by ExecuTorch, whose keys and values lie in the program: it is told how many of them count. */
internal class ExecuTorchDecoding(private val program: ExecuTorchProgram, settings: Settings) : Decoding {
    private val words = settings.number("vocabulary")
    private val chunk = program.number("get_max_seq_len")
    override val context = minOf(settings.maxLength, program.number("get_max_context_len"))

    override fun read(ids: IntArray, from: Int, count: Int, past: Int): FloatArray {
        var logits = FloatArray(0)
        for (at in 0 until count step chunk) {
            val tokens = LongArray(minOf(chunk, count - at)) { ids[from + at + it].toLong() }
            val given = listOf(tokens, longArrayOf((past + at).toLong()))
            logits = program.run(given, listOf(longArrayOf(1, tokens.size.toLong()), longArrayOf(1)))[0].data
        }
        return logits.copyOfRange(logits.size - words, logits.size)
    }

    override fun close() = program.close()
}
