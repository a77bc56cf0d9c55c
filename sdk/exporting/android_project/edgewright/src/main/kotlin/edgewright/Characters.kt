package edgewright

import java.nio.IntBuffer

/** Properties of characters by the file's own tables, never those of the platform, whose Unicode is of another version. */
internal class Characters(file: TokenizerFile) {
    private val pages = file.chars(Section.PAGES)
    private val properties = file.ints(Section.PROPERTIES)

    fun has(c: Int, bit: Int): Boolean = of(c) ushr bit and 1 != 0

    /** The place of a mark in canonical ordering. */
    fun rank(c: Int): Int = of(c) ushr RANK

    private fun of(c: Int): Int = properties[pages[c shr PAGE].code shl PAGE or (c and (1 shl PAGE) - 1)]
}

/** What characters become: how many, the characters in order, where the texts begin, and the texts. */
internal class Mapping(file: TokenizerFile, section: Section) {
    private val table: IntBuffer = file[section].asIntBuffer()
    private val count = if (table.limit() == 0) 0 else table.get(0)

    /** Tells `to` each character of what one becomes; whether it becomes anything else. */
    inline fun each(c: Int, to: (Int) -> Unit): Boolean {
        val at = search(count) { table.get(1 + it) < c }
        if (at == count || table.get(1 + at) != c) return false
        for (k in table.get(1 + count + at) until table.get(2 + count + at)) to(table.get(2 + 2 * count + k))
        return true
    }
}

/** Pairs that compose: how many, the first ones, the second ones, and what they are together. */
internal class Compositions(file: TokenizerFile) {
    private val table: IntBuffer = file[Section.COMPOSE].asIntBuffer()
    private val count = if (table.limit() == 0) 0 else table.get(0)

    /** 0 of two that do not compose. */
    fun of(a: Int, b: Int): Int {
        if (a in 0x1100..0x1112 && b in 0x1161..0x1175) return 0xAC00 + ((a - 0x1100) * 21 + (b - 0x1161)) * 28
        if (a in HANGUL && (a - 0xAC00) % 28 == 0 && b in 0x11A8..0x11C2) return a + b - 0x11A7
        val at = search(count) { table.get(1 + it) < a || table.get(1 + it) == a && table.get(1 + count + it) < b }
        return if (at < count && table.get(1 + at) == a && table.get(1 + count + at) == b) table.get(1 + 2 * count + at) else 0
    }
}

internal val HANGUL = 0xAC00..0xD7A3

/** The first of so many places that is not before what is looked for. */
internal inline fun search(count: Int, before: (Int) -> Boolean): Int {
    var low = 0
    var high = count
    while (low < high) {
        val middle = low + high ushr 1
        if (before(middle)) low = middle + 1 else high = middle
    }
    return low
}

private const val PAGE = 7
private const val RANK = 26
