package edgewright

import kotlin.math.min

/** Viterbi's best path (Kudo 2018, arXiv 1804.10959), as `tokenizers` walks it: the first of equals stays. */
internal class Unigram(file: TokenizerFile, private val parameters: Parameters, private val bytes: Bytes, private val vocabulary: Trie) : Model {
    private val scores = file[Section.SCORES].asDoubleBuffer()
    private val least: Double

    init {
        var lowest = 0.0
        for (i in 0 until scores.limit()) lowest = if (i == 0) scores.get(0) else min(lowest, scores.get(i))
        least = lowest - UNKNOWN
    }

    override fun run(s: Scratch, start: Int, end: Int, word: Int, out: Tokens) {
        s.spell(start, end)
        val path = Path(s.size)
        walk(s, path)
        val begin = out.n
        var stop = s.size
        while (stop > 0) stop = back(s, path, stop, word, out) // from the end; turned round below
        out.reverse(begin)
    }

    private fun walk(s: Scratch, path: Path) {
        var at = 0
        while (at < s.size) {
            var next = at + 1
            while (next < s.size && s.bytes[next].toInt() and 0xC0 == 0x80) next++
            val score = path.score[at]
            var single = false
            var here = 0
            var k = at
            while (k < s.size) {
                here = vocabulary.child(here, s.bytes[k++])
                if (here == 0) break
                val id = vocabulary.value(here)
                if (id < 0) continue
                path.offer(k, scores.get(id) + score, at, id)
                single = single || k == next
            }
            if (!single) path.offer(next, least + score, at, parameters.unknown)
            at = next
        }
    }

    /** The token that ends at a byte, or several of unknown bytes; where it begins. */
    private fun back(s: Scratch, path: Path, end: Int, word: Int, out: Tokens): Int {
        var start = path.start[end]
        var id = path.id[end]
        val last = s.places[end - 1]
        if (id == parameters.unknown) {
            while (start > 0 && path.id[start] == id) start = path.start[start]
            val whole = vocabulary.exactly(s.bytes, start, end)
            if (whole < 0 && parameters.fallsBack && bytes.spell(s.bytes, start, end)) {
                for (k in end - 1 downTo start) out.add(bytes.id(s.bytes[k]), s.text, s.places[start], last, word)
                return start
            }
            if (whole >= 0) id = whole
        }
        out.add(id, s.text, s.places[start], last, word)
        return start
    }
}

/** For each byte the best way there. */
private class Path(size: Int) {
    val score = DoubleArray(size + 1)
    val start = IntArray(size + 1) { -1 }
    val id = IntArray(size + 1) { -1 }

    fun offer(at: Int, value: Double, from: Int, token: Int) {
        if (start[at] >= 0 && value <= score[at]) return
        score[at] = value
        start[at] = from
        id[at] = token
    }
}

private const val UNKNOWN = 10.0 // SentencePiece's penalty of what is unknown
