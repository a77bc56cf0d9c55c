package edgewright

import edgewright.EdgewrightException.Reason

/** A model's settings, tokenizer and engine: what tasks have in common. */
internal class Runner(val settings: Settings, val tokenizer: Tokenizer, private val engine: Engine) {
    /** The id of the token that stands for what is unknown, -1 where there is none. */
    val unknown = if (settings.unknown.isEmpty()) -1 else tokenizer.id(settings.unknown)

    fun encode(text: String, pair: String?, first: Boolean = false): Encoding {
        val most = settings.characters
        val read = if (most > 0 && text.codePointCount(0, text.length) > most) text.substring(0, text.offsetByCodePoints(0, most)) else text
        return tokenizer.encode(read, pair, Cut(settings.maxLength, first, settings.cutsLeft && !first))
    }

    fun run(row: Encoding): List<Output> = run(listOf(row))

    /** Rows of tokens, each as long as the longest of them, through the engine. */
    fun run(rows: List<Encoding>): List<Output> {
        val longest = rows.maxOf { it.size }
        if (longest == 0) fail(Reason.ARGUMENT, "the text has no tokens")
        val values = settings.inputs.map { input ->
            val all = LongArray(rows.size * longest) { if (input.name == "input_ids") settings.padId.toLong() else 0 }
            for ((at, row) in rows.withIndex()) {
                val begin = at * longest + if (settings.padsLeft) longest - row.size else 0
                for (k in 0 until row.size) all[begin + k] = when (input.name) {
                    "input_ids" -> row.ids[k].toLong()
                    "attention_mask" -> 1
                    else -> row.types[k].toLong()
                }
            }
            all
        }
        return engine.run(settings.inputs, values, rows.size, settings.outputs)
    }

    /** Raises where an output has not the shape that a task counts on: rows, or rows of tokens, of so many numbers. */
    fun check(output: Output, rank: Int, rows: Int, last: Int = 0) {
        val shape = output.shape
        if (shape.size != rank || shape[0] != rows.toLong() || last != 0 && shape.last() != last.toLong())
            fail(Reason.ENGINE, "an output has the shape ${shape.contentToString()}")
    }
}
