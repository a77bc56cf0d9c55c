package edgewright

import java.nio.IntBuffer

/** A step of the normalizer, from `now` to what is `now` afterwards. */
internal fun interface Normalizer {
    fun run(s: Scratch)
}

/** The steps that the file has, in order. */
internal fun normalizers(file: TokenizerFile, characters: Characters): List<Normalizer> {
    val op = file.ints(Section.NORMALIZER)
    val found = ArrayList<Normalizer>()
    var i = 0
    fun text(at: Int) = file.text(op[at], op[at + 1])
    while (op[i] != 0) {
        val (a, b, c) = List(3) { op.getOrElse(i + 1 + it) { 0 } }
        i += when (op[i]) {
            1 -> 3.also { found += mapped(characters, a, b) }
            2 -> 2.also { found += spaced(characters, a) }
            3 -> 3.also { found += Form(file, characters, a != 0, b, composes = c == 4) }
            4 -> 1 // done by the decomposition before it
            5 -> 2.also { found += dropped(characters, a) }
            6 -> 2.also { found += Lower(file, characters, a) }
            7 -> 4.also { found += stripped(characters, a, b != 0, c != 0) }
            8 -> 5.also { found += Replace(literal(text(i + 1)), text(i + 3)) }
            9 -> (4 + c).also { found += Replace(matched(Pattern(characters, op.copyOfRange(i + 4, i + 4 + c))), text(i + 1)) }
            10 -> 3.also { found += prepended(text(i + 1)) }
            else -> 1.also { found += Charsmap(file) }
        }
    }
    return found
}

private fun rewritten(into: (Run, Run) -> Unit) = Normalizer { s ->
    s.next.n = 0
    into(s.now, s.next)
    s.turn()
}

private fun mapped(characters: Characters, removed: Int, space: Int) = rewritten { now, next ->
    for (i in 0 until now.n) {
        val c = now.c[i]
        if (!characters.has(c, removed)) next.put(if (characters.has(c, space)) ' '.code else c, now.from[i])
    }
}

private fun dropped(characters: Characters, removed: Int) = rewritten { now, next ->
    for (i in 0 until now.n) if (!characters.has(now.c[i], removed)) next.put(now.c[i], now.from[i])
}

private fun spaced(characters: Characters, wide: Int) = rewritten { now, next ->
    for (i in 0 until now.n) {
        val apart = characters.has(now.c[i], wide)
        if (apart) next.put(' '.code, now.from[i])
        next.put(now.c[i], now.from[i])
        if (apart) next.put(' '.code, now.from[i])
    }
}

private fun stripped(characters: Characters, space: Int, left: Boolean, right: Boolean) = rewritten { now, next ->
    var begin = 0
    var end = now.n
    while (left && begin < end && characters.has(now.c[begin], space)) begin++
    while (right && end > begin && characters.has(now.c[end - 1], space)) end--
    next.put(now, begin, end)
}

private fun prepended(text: IntArray) = rewritten { now, next ->
    if (now.n > 0) for (c in text) next.put(c, now.from[0])
    next.put(now, 0, now.n)
}

private class Lower(file: TokenizerFile, private val characters: Characters, private val bit: Int) : Normalizer {
    private val mapping = Mapping(file, Section.LOWER)

    override fun run(s: Scratch) {
        val now = s.now
        s.next.n = 0
        for (i in 0 until now.n) {
            val c = now.c[i]
            if (!characters.has(c, bit) || !mapping.each(c) { s.next.put(it, now.from[i]) }) s.next.put(c, now.from[i])
        }
        s.turn()
    }
}

/** Replaces what `found` finds; what comes has the place of the last character that it stands for. */
private class Replace(private val found: (Scratch, Run, Int) -> Int, private val content: IntArray) : Normalizer {
    override fun run(s: Scratch) {
        val now = s.now
        s.next.n = 0
        var i = 0
        while (i < now.n) {
            val n = found(s, now, i)
            if (n > 0) for (c in content) s.next.put(c, now.from[i + n - 1]) else s.next.put(now.c[i], now.from[i])
            i += maxOf(n, 1)
        }
        s.turn()
    }
}

private fun matched(pattern: Pattern) = { s: Scratch, now: Run, i: Int -> pattern.match(s, now.c, i, now.n) - i }

private fun literal(text: IntArray) = { _: Scratch, now: Run, i: Int -> if (same(text, now, i, now.n)) text.size else 0 }

internal fun same(text: IntArray, run: Run, at: Int, end: Int): Boolean =
    at + text.size <= end && text.indices.all { text[it] == run.c[at + it] }

/**
 * What is put in a text for others counts as a change at first, 1 of a character that was inserted, less than 0 of one that
 * swallows others; then changes become places: an inserted one has that of the character before it.
 */
private fun settle(now: Run, next: Run) {
    var at = 0
    for (i in 0 until next.n) {
        val change = next.from[i]
        if (change > 0) {
            next.from[i] = if (at > 0) now.from[at - 1] else NOWHERE
        } else {
            next.from[i] = if (at < now.n) now.from[at] else NOWHERE
            at += 1 - change
        }
    }
}

/** NFD, NFC, NFKD and NFKC (Unicode Standard Annex 15). */
private class Form(file: TokenizerFile, private val characters: Characters, compatible: Boolean, private val bit: Int, private val composes: Boolean) :
    Normalizer {
    private val mapping = Mapping(file, if (compatible) Section.NFKD else Section.NFD)
    private val pairs = Compositions(file)

    /** Characters below have no other form. */
    private val plain = if (compatible) 0xA0 else if (composes) 0x300 else 0xC0

    override fun run(s: Scratch) {
        val now = s.now
        val next = s.next
        if (now.below(plain)) return
        next.n = 0
        for (i in 0 until now.n) decompose(now.c[i], next)
        var i = 0
        while (i < next.n) {
            var j = i
            while (j < next.n && characters.rank(next.c[j]) != 0) j++
            if (j - i > 1) order(next, i, j)
            i = j + 1
        }
        if (composes) compose(next)
        settle(now, next)
        s.turn()
    }

    private fun decompose(c: Int, next: Run) {
        if (c in HANGUL) {
            val k = c - HANGUL.first
            next.put(0x1100 + k / 588, 0)
            next.put(0x1161 + k % 588 / 28, 1)
            if (k % 28 != 0) next.put(0x11A7 + k % 28, 1)
            return
        }
        var change = 0
        val known = characters.has(c, bit) && mapping.each(c) {
            next.put(it, change)
            change = 1
        }
        if (!known) next.put(c, 0)
    }

    /** Canonical ordering of marks, stable: by counting, so that no text of marks takes long. */
    private fun order(next: Run, from: Int, to: Int) {
        val c = next.c.copyOfRange(from, to)
        val place = next.from.copyOfRange(from, to)
        val begins = IntArray(RANKS + 1)
        for (one in c) begins[characters.rank(one) + 1]++
        for (rank in 1..RANKS) begins[rank] += begins[rank - 1]
        for (i in c.indices) {
            val at = from + begins[characters.rank(c[i])]++
            next.c[at] = c[i]
            next.from[at] = place[i]
        }
    }

    private fun compose(r: Run) {
        var out = 0
        var starter = -1
        var last = 0
        for (i in 0 until r.n) {
            val c = r.c[i]
            val rank = characters.rank(c)
            val whole = if (starter >= 0 && (out == starter + 1 || last < rank)) pairs.of(r.c[starter], c) else 0
            if (whole != 0) {
                r.c[starter] = whole
                r.from[starter] += r.from[i] - 1
                continue
            }
            if (rank == 0) starter = out
            last = rank
            r.c[out] = c
            r.from[out++] = r.from[i]
        }
        r.n = out
    }
}

/** SentencePiece's character map: a double array over the bytes of a grapheme cluster, or of each of its characters. */
private class Charsmap(file: TokenizerFile) : Normalizer {
    private val units: IntBuffer = file[Section.CHARSMAP].asIntBuffer()
    private val strings = file[Section.CHARSMAP_STRINGS]
    private val pages = file.chars(Section.GRAPHEME_PAGES)
    private val graphemes = file.chars(Section.GRAPHEMES)

    override fun run(s: Scratch) {
        val now = s.now
        val next = s.next
        val bytes = ByteArray(MOST_BYTES + 4)
        next.n = 0
        var i = 0
        while (i < now.n) {
            val j = clusterEnd(now, i)
            var n = 0
            var k = i
            while (k < j && n < MOST_BYTES) n = Utf8.put(now.c[k++], bytes, n)
            if (n < MOST_BYTES && put(next, find(bytes, n), j - i)) i = j
            while (i < j) {
                if (!put(next, find(bytes, Utf8.put(now.c[i], bytes, 0)), 1)) next.put(now.c[i], 0)
                i++
            }
        }
        settle(now, next)
        s.turn()
    }

    /** Puts a text in the place of so many characters: as many are in place, others inserted or swallowed. */
    private fun put(next: Run, text: Int, had: Int): Boolean {
        if (text < 0) return false
        var end = text
        while (end < strings.limit() && strings.get(end) != 0.toByte()) end++
        val made = Utf8.codePoints(ByteArray(end - text) { strings.get(text + it) }, end - text)
        for ((at, c) in made.withIndex()) next.put(c, if (at < had) 0 else 1)
        if (made.size < had && next.n > 0) next.from[next.n - 1] -= had - made.size
        return true
    }

    /** Where the text stands that the map makes of the shortest beginning that it knows, -1 where it knows none. */
    private fun find(bytes: ByteArray, size: Int): Int {
        if (units.limit() == 0) return -1
        var at = offset(units.get(0))
        for (k in 0 until size) {
            val byte = bytes[k].toInt() and 255
            if (byte == 0) return -1
            at = at xor byte
            if (at >= units.limit()) return -1
            val unit = units.get(at)
            if (unit and LABEL != byte) return -1
            at = at xor offset(unit)
            if (unit and 256 != 0) return if (at < units.limit()) units.get(at) and Int.MAX_VALUE else -1
        }
        return -1
    }

    private fun offset(unit: Int): Int = unit ushr 10 shl (unit and 512 ushr 6)

    private fun grapheme(c: Int): Int = graphemes[pages[c shr 7].code shl 7 or (c and 127)].code

    /** The end of an extended grapheme cluster (Unicode Standard Annex 29). */
    private fun clusterEnd(r: Run, start: Int): Int {
        var p = grapheme(r.c[start])
        var picture = if (p and PICTOGRAPH != 0) 1 else 0
        var joined = if (p and CONSONANT != 0) 1 else 0
        var i = start + 1
        while (i < r.n) {
            val c = r.c[i]
            val q = grapheme(c)
            if (!(r.c[i - 1] == '\r'.code && c == '\n'.code)) {
                if ((p or q) and CONTROL != 0) break
                val together = p and JAMO_L != 0 && q and (JAMO_L or JAMO_V or JAMO_LV or JAMO_LVT) != 0 ||
                    p and (JAMO_LV or JAMO_V) != 0 && q and (JAMO_V or JAMO_T) != 0 ||
                    p and (JAMO_LVT or JAMO_T) != 0 && q and JAMO_T != 0 || q and EXTEND != 0 || p and PREPENDED != 0 ||
                    joined == 2 && q and CONSONANT != 0 || picture == 2 && q and PICTOGRAPH != 0
                if (!together) break
            }
            picture = when {
                q and PICTOGRAPH != 0 -> 1
                picture == 1 && c == 0x200D -> 2
                picture != 0 && q and PICTURED != 0 -> 1
                else -> 0
            }
            joined = when {
                q and CONSONANT != 0 -> 1
                joined != 0 && q and LINKER != 0 -> 2
                q and BETWEEN != 0 -> joined
                else -> 0
            }
            p = q
            i++
        }
        return i
    }
}

private const val RANKS = 64 // they have six bits
private const val MOST_BYTES = 6 // longer clusters go character by character, as in `tokenizers`
private const val LABEL = 0x800000FF.toInt()
private const val CONTROL = 1
private const val EXTEND = 2
private const val PREPENDED = 4
private const val PICTOGRAPH = 8
private const val JAMO_L = 16
private const val JAMO_V = 32
private const val JAMO_T = 64
private const val JAMO_LV = 128
private const val JAMO_LVT = 256
private const val CONSONANT = 512
private const val LINKER = 1024
private const val BETWEEN = 2048
private const val PICTURED = 4096
