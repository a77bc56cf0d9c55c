package edgewright

/** The longest token that a word begins with, then the longest of what is left (Wu and others 2016, arXiv 1609.08144). */
internal class WordPiece(file: TokenizerFile, private val parameters: Parameters, private val vocabulary: Trie) : Model {
    private val inner = Trie(file, Section.INNER)

    override fun run(s: Scratch, start: Int, end: Int, word: Int, out: Tokens) {
        val begin = out.n
        var at = 0
        var known = end - start <= parameters.mostCharacters
        if (known) s.spell(start, end)
        while (known && at < s.size) {
            val trie = if (at == 0) vocabulary else inner
            var id = -1
            var stop = at
            var here = 0
            var k = at
            while (k < s.size && !trie.empty) {
                here = trie.child(here, s.bytes[k++])
                if (here == 0) break
                val value = trie.value(here)
                if (value >= 0) {
                    id = value
                    stop = k
                }
            }
            known = id >= 0
            if (known) out.add(id, s.text, s.places[at], s.places[stop - 1], word)
            at = stop
        }
        if (!known) {
            out.n = begin
            out.add(parameters.unknown, s.text, start, end - 1, word)
        }
    }
}
