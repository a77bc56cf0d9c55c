package edgewright

import edgewright.EdgewrightException.Reason
import java.nio.ByteBuffer
import java.nio.ByteOrder

/** The sections of tokenizer.bin, in their order. */
internal enum class Section {
    NORMALIZER, PRE_TOKENIZER, PARAMETERS, TEMPLATE, PAIR_TEMPLATE, STRINGS, PAGES, PROPERTIES, GRAPHEME_PAGES, GRAPHEMES,
    LOWER, NFD, NFKD, COMPOSE, VOCABULARY, INNER, ADDED, ADDED_RAW, ADDED_NORMALIZED, MERGES, SCORES, CHARSMAP,
    CHARSMAP_STRINGS, TOKENS, TOKEN_BYTES, TOKEN_FLAGS, BYTE_IDS, DECODER,
}

/** tokenizer.bin, used where it is mapped: its head and checksum are held against its bytes, then sections are cut out. */
internal class TokenizerFile(map: ByteBuffer) {
    private val map: ByteBuffer = map.slice().order(ByteOrder.LITTLE_ENDIAN)
    private val sections: List<ByteBuffer>

    init {
        val count = Section.values().size
        val size = this.map.limit()
        if (size < HEAD + 16 * count || size % 4 != 0 || this.map.getLong(0) != MAGIC) altered("has no head of this version")
        if (this.map.getLong(8) != size.toLong() || this.map.getInt(24) != count) altered("has $size bytes, not ${this.map.getLong(8)}")
        if (this.map.getLong(16) != checksum()) altered("has another checksum")
        sections = List(count) { part(this.map.getLong(HEAD + 16 * it), this.map.getLong(HEAD + 8 + 16 * it)) }
    }

    operator fun get(section: Section): ByteBuffer = sections[section.ordinal]

    /** A small section as numbers of its own. */
    fun ints(section: Section): IntArray {
        val view = get(section).asIntBuffer()
        return IntArray(view.limit()).also { view.get(it) }
    }

    fun chars(section: Section): CharArray {
        val view = get(section).asCharBuffer()
        return CharArray(view.limit()).also { view.get(it) }
    }

    /** Characters of a text among the strings. */
    fun text(at: Int, size: Int): IntArray {
        val bytes = ByteArray(size) { get(Section.STRINGS).get(at + it) }
        return Utf8.codePoints(bytes, size)
    }

    private fun part(at: Long, size: Long): ByteBuffer {
        if (at < 0 || size < 0 || at > map.limit() || size > map.limit() - at) altered("has a section outside of it")
        val copy = map.duplicate()
        copy.limit((at + size).toInt())
        copy.position(at.toInt())
        return copy.slice().order(ByteOrder.LITTLE_ENDIAN)
    }

    /** Two sums of 32-bit words, as Fletcher has them: read by blocks, which arrays make quick. */
    private fun checksum(): Long {
        val words = part(HEAD.toLong(), map.limit().toLong() - HEAD).asIntBuffer()
        val block = IntArray(BLOCK)
        var low = 0
        var high = 0
        while (words.hasRemaining()) {
            val n = minOf(BLOCK, words.remaining())
            words.get(block, 0, n)
            for (i in 0 until n) {
                low += block[i]
                high += low
            }
        }
        return high.toLong() shl 32 or (low.toLong() and 0xFFFFFFFFL)
    }

    private fun altered(what: String): Nothing = fail(Reason.ALTERED, "tokenizer.bin is not what was exported: it $what")
}

private const val MAGIC = 0x0100004B4F545745L // "EWTOK", two NULs and the version
private const val HEAD = 32
private const val BLOCK = 4096
