package edgewright

/** A step of the pre-tokenizer: pieces of a text become smaller ones, or the text itself is changed. */
internal fun interface PreTokenizer {
    fun run(s: Scratch)
}

internal fun preTokenizers(file: TokenizerFile, characters: Characters): List<PreTokenizer> {
    val op = file.ints(Section.PRE_TOKENIZER)
    val found = ArrayList<PreTokenizer>()
    var i = 0
    while (op[i] != 0) {
        val (a, b, c) = List(3) { op.getOrElse(i + 1 + it) { 0 } }
        i += when (op[i]) {
            20 -> 3.also {
                found += Split(b, inverted = false) { _, run, at, _ -> if (characters.has(run.c[at], a)) at + 1 else at }
            }
            21 -> (4 + c).also {
                val pattern = Pattern(characters, op.copyOfRange(i + 4, i + 4 + c))
                found += Split(a, b != 0) { s, run, at, end -> pattern.match(s, run.c, at, end) }
            }
            22 -> 5.also {
                val text = file.text(c, op[i + 4])
                found += Split(a, b != 0) { _, run, at, end -> if (same(text, run, at, end)) at + text.size else at }
            }
            23 -> 3.also { found += words(characters, a, b) }
            24 -> 4.also { found += metaspace(a, b, c != 0) }
            else -> 1.also { found += PreTokenizer { s -> lead(s, ' '.code, ALWAYS) } }
        }
    }
    return found
}

private const val REMOVED = 0
private const val WITH_PREVIOUS = 2
private const val WITH_NEXT = 3
private const val CONTIGUOUS = 4
private const val ALWAYS = 0
private const val FIRST = 1

/** Tells each piece of plain text; added tokens stay as they are. */
private inline fun pieces(s: Scratch, each: (Int, Int) -> Unit) {
    s.more.n = 0
    val a = s.pieces.a
    for (i in 0 until s.pieces.n step 3)
        if (a[i + 2] >= 0) s.more.add(a[i], a[i + 1], a[i + 2]) else each(a[i], a[i + 1])
    s.pieces = s.more.also { s.more = s.pieces }
}

/** Splits at what `stop` finds: it gives where a match that begins at a place ends, that place or less where none does. */
private class Split(private val behavior: Int, private val inverted: Boolean, private val stop: (Scratch, Run, Int, Int) -> Int) : PreTokenizer {
    override fun run(s: Scratch) = pieces(s) { start, end ->
        val marks = s.marks
        marks.n = 0
        var done = start
        var at = start
        while (at < end) {
            val next = stop(s, s.text, at, end)
            if (next > at) {
                if (done < at) marks.add(done, at, 0)
                marks.add(at, next, 1)
                done = next
            }
            at = maxOf(next, at + 1)
        }
        if (done < end) marks.add(done, end, 0)
        if (inverted) for (i in 2 until marks.n step 3) marks.a[i] = 1 - marks.a[i]
        fold(marks, behavior, s.more)
    }
}

/** Matches and what is between them, in order, become pieces. */
private fun fold(marks: Ints, behavior: Int, out: Ints) {
    val m = marks.a
    val first = out.n
    var before = false
    if (behavior == WITH_NEXT) { // from the end: a match takes the piece behind it
        var top = marks.n
        for (i in marks.n - 3 downTo 0 step 3) {
            val matched = m[i + 2] != 0
            if (matched && !before && top < marks.n) {
                m[top] = m[i]
            } else {
                top -= 3
                m[top] = m[i]
                m[top + 1] = m[i + 1]
            }
            before = matched
        }
        for (i in top until marks.n step 3) out.add(m[i], m[i + 1], -1)
        return
    }
    for (i in 0 until marks.n step 3) {
        val matched = m[i + 2] != 0
        if (behavior == REMOVED && matched) continue
        val joins = behavior == WITH_PREVIOUS && matched && !before || behavior == CONTIGUOUS && matched == before
        if (joins && out.n > first) out.a[out.n - 2] = m[i + 1] else out.add(m[i], m[i + 1], -1)
        before = matched
    }
}

/** Stretches of letters, and stretches of what is neither letter nor space. */
private fun words(characters: Characters, word: Int, mark: Int) = PreTokenizer { s ->
    pieces(s) { start, end ->
        val c = s.text.c
        var i = start
        while (i < end) {
            val kind = if (characters.has(c[i], word)) word else mark
            var j = i
            while (j < end && characters.has(c[j], kind) && (kind == word || !characters.has(c[j], word))) j++
            if (j > i) s.more.add(i, j, -1)
            i = maxOf(j, i + 1)
        }
    }
}

private fun metaspace(mark: Int, scheme: Int, splits: Boolean): PreTokenizer {
    val split = Split(WITH_NEXT, inverted = false) { _, run, at, _ -> if (run.c[at] == mark) at + 1 else at }
    return PreTokenizer { s ->
        val a = s.pieces.a
        for (i in 0 until s.pieces.n step 3)
            if (a[i + 2] < 0) for (k in a[i] until a[i + 1]) if (s.text.c[k] == ' '.code) s.text.c[k] = mark
        if (scheme <= FIRST) lead(s, mark, scheme)
        if (splits) split.run(s)
    }
}

/** Puts a character before pieces that do not begin with it, all or those at the beginning of the text alone. */
private fun lead(s: Scratch, c: Int, scheme: Int) = s.rewrite { out ->
    val a = s.pieces.a
    val text = s.text
    for (i in 0 until s.pieces.n step 3) {
        val start = out.n
        val from = text.from[a[i]]
        if (a[i + 2] < 0 && text.c[a[i]] != c && (scheme == ALWAYS || from <= 0)) out.put(c, from)
        out.put(text, a[i], a[i + 1])
        a[i] = start
        a[i + 1] = out.n
    }
}
