package edgewright

import edgewright.EdgewrightException.Reason

/** A token in the place of mask number [mask], and the whole text with it. */
data class Filling(val token: String, val id: Int, val text: String, val score: Double, val mask: Int)

internal fun Runner.fill(text: String, topK: Int): List<Filling> {
    val mask = if (settings.mask.isEmpty()) -1 else tokenizer.id(settings.mask)
    val row = encode(text, null)
    val masks = row.ids.indices.filter { mask >= 0 && row.ids[it] == mask }
    if (masks.isEmpty()) fail(Reason.ARGUMENT, "the text has no ${settings.mask.ifEmpty { "mask" }} within ${settings.maxLength} tokens")
    val logits = run(row)[0]
    check(logits, 3, 1)
    val words = logits.shape[2].toInt()
    return masks.withIndex().flatMap { (number, at) ->
        val chances = softmax(logits.data, at * words, words)
        largest(logits.data.doubles(at * words, words), topK).map { id ->
            val filled = row.ids.copyOf().also { it[at] = id }
            Filling(tokenizer.decode(intArrayOf(id), skipSpecial = false), id, tokenizer.decode(filled, masks.size == 1), chances[id], number)
        }
    }
}
