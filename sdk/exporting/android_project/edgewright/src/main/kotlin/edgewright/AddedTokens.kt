package edgewright

/** Tokens that were added to a vocabulary, found in a text before anything else is done to it, or once it is normalized. */
internal class AddedTokens(file: TokenizerFile, section: Section, private val characters: Characters) {
    private val trie = Trie(file, section)
    private val all = file.ints(Section.ADDED)

    /** These tokens and what is between them, in threes: start, end, and the id or -1. */
    fun split(run: Run, literal: Boolean, character: ByteArray, out: Ints) {
        out.n = 0
        if (trie.empty) {
            if (run.n > 0) out.add(0, run.n, -1)
            return
        }
        val c = run.c
        var done = 0
        var i = 0
        while (i < run.n) {
            var place = -1
            var stop = i
            var here = 0
            var k = i
            while (k < run.n) {
                here = trie.step(here, c[k++], character)
                if (here == 0) break
                if (trie.value(here) >= 0) {
                    place = trie.value(here)
                    stop = k
                }
            }
            if (place < 0) {
                i++
                continue
            }
            val flags = all[2 + 2 * place + 1]
            var start = i
            var end = stop
            i = stop
            if (literal && flags and ADDED_SPECIAL != 0) continue
            if (flags and SINGLE_WORD != 0 && (start > 0 && characters.has(c[start - 1], all[1]) || end < run.n && characters.has(c[end], all[1]))) continue
            if (flags and LSTRIP != 0) while (start > done && characters.has(c[start - 1], all[0])) start--
            if (flags and RSTRIP != 0) while (end < run.n && characters.has(c[end], all[0])) end++
            if (done < start) out.add(done, start, -1)
            out.add(start, end, all[2 + 2 * place])
            done = end
        }
        if (done < run.n) out.add(done, run.n, -1)
    }
}

private const val LSTRIP = 1
private const val RSTRIP = 2
private const val SINGLE_WORD = 4
internal const val ADDED_SPECIAL = 16
