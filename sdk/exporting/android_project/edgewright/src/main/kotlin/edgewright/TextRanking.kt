package edgewright

import edgewright.EdgewrightException.Reason

/** A text that was ranked, and its place among those that were given. */
data class Ranked(val text: String, val index: Int, val score: Double)

/** Texts of like length run together, the longest first. */
internal fun Runner.rank(query: String, texts: List<String>): List<Ranked> {
    if (texts.isEmpty()) fail(Reason.ARGUMENT, "text-ranking wants a query and texts")
    val rows = texts.map { encode(query, it) }
    val order = rows.indices.sortedWith { a, b -> rows[b].size.compareTo(rows[a].size) }
    val whole = rows.size * rows[order[0]].size <= MOST_TOKENS
    val values = DoubleArray(rows.size)
    val scores = DoubleArray(rows.size)
    var i = 0
    while (i < rows.size) {
        val room = if (whole) rows.size else maxOf(1, MOST_TOKENS / maxOf(1, rows[order[i]].size))
        val part = (i until minOf(i + room, rows.size)).map { if (whole) it else order[it] }
        val logits = run(part.map { rows[it] })[0]
        check(logits, 2, part.size)
        val width = logits.shape[1].toInt()
        if (width !in 1..2) fail(Reason.ENGINE, "a model that ranks has one output or two, this one has $width")
        for ((at, place) in part.withIndex()) {
            val two = floatArrayOf(if (width == 1) 0f else logits.data[2 * at], logits.data[width * at + width - 1])
            values[place] = (two[1] - two[0]).toDouble()
            scores[place] = softmax(two)[1]
        }
        i += part.size
    }
    return largest(values, rows.size).map { Ranked(texts[it], it, scores[it]) }
}

private const val MOST_TOKENS = 256 // of a run of several texts, padding and all
