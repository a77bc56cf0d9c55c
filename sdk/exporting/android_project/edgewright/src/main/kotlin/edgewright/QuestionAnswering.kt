package edgewright

/** A part of a context, from [start] to [end] in characters (code points). */
data class Passage(val text: String, val score: Double, val start: Int, val end: Int)

/** The best stretches of a context; where one is wanted, one is kept: of a long context there are millions. */
internal fun Runner.answer(question: String, context: String, topK: Int, maxTokens: Int, noAnswer: Boolean): List<Passage> {
    val text = Text(context)
    val found = ArrayList<Rated>()
    var nothing = Rated(Float.POSITIVE_INFINITY, 0, 0, 0.0)
    for (window in tokenizer.windows(question, context, settings.maxLength)) {
        val (starts, ends) = run(window).onEach { check(it, 2, 1, window.size) }.map { it.data }
        val begins = chances(window, starts)
        val stops = chances(window, ends)
        val special = window.sides[0] < 0
        val rate = if (special) starts[0] + ends[0] else Float.NEGATIVE_INFINITY
        if (rate < nothing.rate) nothing = Rated(rate, 0, 0, if (special) begins[0] * stops[0] else 0.0)
        for (i in 0 until window.size) {
            if (window.sides[i] != 1) continue
            for (j in i until minOf(i + maxTokens, window.size)) {
                if (window.sides[j] != 1) break
                val one = starts[i] + ends[j]
                if (topK == 1 && found.isNotEmpty() && one <= found[0].rate) continue
                if (topK == 1) found.clear()
                val place = text.strip(window.starts[i], window.ends[j])
                found += Rated(one, place.first, place.last + 1, begins[i] * stops[j])
            }
        }
    }
    found.sortWith { a, b -> (b.rate + 0f).compareTo(a.rate + 0f) } // which makes one zero of both
    val first = noAnswer && nothing.rate > (found.firstOrNull()?.rate ?: Float.NEGATIVE_INFINITY)
    val best = found.distinctBy { it.start to it.end }.ifEmpty { listOf(Rated(0f, 0, 0, 0.0)) }
    val all = if (first) listOf(nothing) + best else if (noAnswer) best.take(topK) + nothing else best
    return all.take(topK).map { Passage(text.slice(it.start, it.end), it.score, it.start, it.end) }
}

private class Rated(val rate: Float, val start: Int, val end: Int, val score: Double)

/** Probabilities over the context's tokens and the special one in front; nothing for the others. */
private fun chances(window: Encoding, logits: FloatArray): DoubleArray {
    val kept = (0 until window.size).filter { window.sides[it] == 1 || it == 0 && window.sides[it] < 0 }
    val some = softmax(FloatArray(kept.size) { logits[kept[it]] })
    return DoubleArray(window.size).also { all -> kept.forEachIndexed { at, place -> all[place] = some[at] } }
}
