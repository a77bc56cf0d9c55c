package edgewright

import edgewright.EdgewrightException.Reason
import java.nio.ByteBuffer
import java.util.concurrent.atomic.AtomicReference

/** A text as a model reads it. [starts] and [ends] count characters (code points) of its text, as in Python. */
class Encoding internal constructor(size: Int) {
    val ids = IntArray(size)
    val types = IntArray(size)
    val starts = IntArray(size)
    val ends = IntArray(size)

    /** 0 of the first text, 1 of the second, -1 of a token that was added. */
    internal val sides = IntArray(size) { -1 }
    internal val words = IntArray(size) { -1 }
    val size get() = ids.size
}

/** How a text is cut: at [limit] tokens with special ones, 0 is none; of a pair the longer text gives way, or the first. */
internal class Cut(val limit: Int = 0, val first: Boolean = false, val left: Boolean = false)

/**
 * Texts to token ids and back by a tokenizer.bin, with the steps and their order of Hugging Face's `tokenizers`. It never
 * changes: threads may share it. A lone surrogate is read as U+FFFD.
 */
class Tokenizer(map: ByteBuffer) {
    private val file = TokenizerFile(map)
    private val characters = Characters(file)
    internal val parameters = Parameters(file)
    private val bytes = Bytes(file)
    private val vocabulary = Trie(file, Section.VOCABULARY)
    private val model = model(file, parameters, bytes, vocabulary)
    private val raw = AddedTokens(file, Section.ADDED_RAW, characters)
    private val normalized = AddedTokens(file, Section.ADDED_NORMALIZED, characters)
    private val normalizers = normalizers(file, characters)
    private val preTokenizers = preTokenizers(file, characters)
    private val added = file.ints(Section.ADDED)
    private val flags = file[Section.TOKEN_FLAGS].asIntBuffer()
    private val tokenAt = file[Section.TOKENS].asIntBuffer()
    private val tokenBytes = file[Section.TOKEN_BYTES]
    private val templates = arrayOf(file.ints(Section.TEMPLATE), file.ints(Section.PAIR_TEMPLATE))
    private val decoder = Decoder(file, bytes)
    private val spare = AtomicReference<Scratch?>()

    val vocabularySize: Int get() = parameters.ids

    /**
     * Ids, type ids and offsets of a text or a pair.
     *
     * Throws [EdgewrightException] of a text over a megabyte.
     */
    @JvmOverloads
    fun encode(text: String, pair: String? = null, limit: Int = 0): Encoding = encode(text, pair, Cut(limit))

    internal fun encode(text: String, pair: String?, cut: Cut, bare: Boolean = false, literal: Boolean = false): Encoding = borrowed { s ->
        val template = templates[if (pair == null) 0 else 1]
        tokenize(s, text, 0, literal)
        if (pair != null) tokenize(s, pair, 1, literal)
        val a = s.sides[0].n
        val b = if (pair == null) 0 else s.sides[1].n
        val kept = kept(a, b, pair != null, cut, if (bare) 0 else specials(template))
        val from = IntArray(2) { if (cut.left) (if (it == 0) a else b) - kept[it] else 0 }
        layOut(s, template, from, IntArray(2) { from[it] + kept[it] }, bare)
    }

    /** How many tokens of each text are kept. */
    private fun kept(a: Int, b: Int, pair: Boolean, cut: Cut, added: Int): IntArray {
        if (cut.limit == 0 || a + b + added <= cut.limit) return intArrayOf(a, b)
        val most = cut.limit - added
        if (most < 0) noRoom(cut.limit)
        if (!pair) return intArrayOf(most, 0)
        if (cut.first && b < most) return intArrayOf(most - b, b)
        var low = minOf(a, b)
        var high = maxOf(low, most - low)
        if (low + high > most) {
            low = most / 2
            high = low + most % 2
        }
        return if (a > b) intArrayOf(high, low) else intArrayOf(low, high)
    }

    //region question-answering
    /**
     * The windows of a pair whose second text is long: all of the first before each stretch of the second, of which two
     * neighbours share some tokens. Of a question too long, what half of the room covers is kept.
     */
    internal fun windows(text: String, context: String, limit: Int): List<Encoding> = borrowed { s ->
        val template = templates[1]
        val all = limit - specials(template)
        tokenize(s, text, 0, false)
        if (s.sides[0].n > all / 2 && all / 2 > 0) tokenize(s, text.substring(0, text.offsetByCodePoints(0, covered(s, all / 2))), 0, false)
        val room = all - s.sides[0].n
        if (room <= 0) noRoom(limit)
        tokenize(s, context, 1, false)
        val n = s.sides[1].n
        val stride = minOf(STRIDE, limit / 2, room / 2)
        val count = if (n <= room) 1 else 1 + (n - room + room - stride - 1) / (room - stride)
        List(count) { layOut(s, template, intArrayOf(0, it * (room - stride)), intArrayOf(s.sides[0].n, minOf(it * (room - stride) + room, n)), false) }
    }

    private fun covered(s: Scratch, tokens: Int): Int {
        val last = layOut(s, intArrayOf(0, 0, 0), intArrayOf(0, 0), intArrayOf(tokens, 0), true)
        return last.ends[tokens - 1]
    }
    //endregion

    private fun noRoom(limit: Int): Nothing = fail(Reason.NO_ROOM, "a limit of $limit tokens leaves no room for the text")

    /** How many special tokens a text gets, or a pair. */
    private fun specials(template: IntArray): Int = (template.indices step 3).count { template[it] == SPECIAL_PART }

    private fun layOut(s: Scratch, template: IntArray, from: IntArray, to: IntArray, bare: Boolean): Encoding {
        val parts = template.indices step 3
        val out = Encoding(parts.sumOf { at -> if (template[at] == SPECIAL_PART) (if (bare) 0 else 1) else to[template[at]] - from[template[at]] })
        var n = 0
        for (at in parts) {
            val side = template[at]
            if (side == SPECIAL_PART) {
                if (bare) continue
                out.ids[n] = template[at + 1]
                out.types[n++] = template[at + 2]
                continue
            }
            val tokens = s.sides[side]
            for (k in from[side] until to[side]) {
                out.ids[n] = tokens.id[k]
                out.types[n] = template[at + 2]
                out.starts[n] = tokens.start[k]
                out.ends[n] = tokens.end[k]
                out.sides[n] = side
                out.words[n] = tokens.word[k]
                if (parameters.trims != 0) trim(out, n, tokens.spaces[k], k == from[side])
                n++
            }
        }
        return out
    }

    /** Takes spaces at its ends out of a token's offsets. */
    private fun trim(out: Encoding, n: Int, spaces: Int, first: Boolean) {
        val known = flags(out.ids[n])
        val own = known and ADDED != 0
        var lead = (if (own) spaces else known shr 8) and 255
        val tail = (if (own) spaces shr 8 else known shr 16) and 255
        val start = out.starts[n]
        val end = out.ends[n]
        if (lead == 1 && (first || start == 0) && parameters.trims == 2) lead = 0
        out.starts[n] = if (lead > 0) minOf(start + lead, end) else start
        if (tail in 1..end) out.ends[n] = maxOf(end - tail, out.starts[n])
    }

    private fun flags(id: Int): Int = if (id in 0 until parameters.ids) flags.get(id) else 0

    private fun tokenize(s: Scratch, text: String, side: Int, literal: Boolean) {
        val out = s.sides[side]
        out.n = 0
        segment(s, text, literal)
        for (step in preTokenizers) step.run(s)
        val pieces = s.pieces.a
        for (i in 0 until s.pieces.n / 3) {
            val start = pieces[3 * i]
            val end = pieces[3 * i + 1]
            val id = pieces[3 * i + 2]
            if (id < 0) {
                model.run(s, start, end, i, out)
            } else {
                out.add(id, s.text, start, end - 1, i)
                var lead = 0
                var tail = 0
                while (lead < minOf(end - start, 255) && isSpace(s.text.c[start + lead])) lead++
                while (tail < minOf(end - start, 255) && isSpace(s.text.c[end - 1 - tail])) tail++
                out.spaces[out.n - 1] = lead or (tail shl 8)
            }
        }
    }

    private fun isSpace(c: Int): Boolean = c == bytes.character(' '.code.toByte()) || added[0] >= 0 && characters.has(c, added[0])

    /** A text as pieces: added tokens, and normalized plain text between them. */
    private fun segment(s: Scratch, text: String, literal: Boolean) {
        read(text, s.raw)
        s.text.n = 0
        s.pieces.n = 0
        raw.split(s.raw, literal, s.bytes, s.more)
        val first = s.more.a.copyOf(s.more.n)
        for (i in first.indices step 3) {
            if (first[i + 2] >= 0) {
                append(s, s.raw, first[i], first[i + 1], first[i + 2])
                continue
            }
            s.now.n = 0
            s.now.put(s.raw, first[i], first[i + 1])
            for (step in normalizers) step.run(s)
            normalized.split(s.now, literal, s.bytes, s.marks)
            for (k in 0 until s.marks.n step 3) append(s, s.now, s.marks.a[k], s.marks.a[k + 1], s.marks.a[k + 2])
        }
    }

    private fun append(s: Scratch, run: Run, start: Int, end: Int, id: Int) {
        val begin = s.text.n
        s.text.put(run, start, end)
        if (start < end) s.pieces.add(begin, s.text.n, id)
    }

    private fun read(text: String, to: Run) {
        to.n = 0
        var size = 0
        var i = 0
        while (i < text.length) {
            val one = text[i++]
            var c = one.code
            if (one.isSurrogate()) {
                val pair = one.isHighSurrogate() && i < text.length && text[i].isLowSurrogate()
                c = if (pair) Character.toCodePoint(one, text[i++]) else Utf8.REPLACEMENT
            }
            size += Utf8.bytes(c)
            if (size > MOST_BYTES) fail(Reason.TOO_LONG, "a text has more than a megabyte, split it")
            to.put(c, to.n)
        }
    }

    private inline fun <T> borrowed(use: (Scratch) -> T): T {
        val s = spare.getAndSet(null) ?: Scratch()
        val made = use(s)
        if (s.small()) spare.set(s)
        return made
    }

    /** A token as the vocabulary has it, "" of what is none. */
    fun token(id: Int): String = piece(id).let { Utf8.text(it, it.size) }

    internal fun piece(id: Int): ByteArray =
        if (id in 0 until parameters.ids) ByteArray(tokenAt.get(id + 1) - tokenAt.get(id)) { tokenBytes.get(tokenAt.get(id) + it) } else ByteArray(0)

    /** The id of a token, -1 where there is none. */
    fun id(token: String): Int {
        val data = token.toByteArray()
        val found = vocabulary.exactly(data, 0, data.size)
        return if (found >= 0) found else (2 until added.size step 2).map { added[it] }.firstOrNull { piece(it).contentEquals(data) } ?: -1
    }

    //region text-generation
    internal fun specialIds(): Set<Int> =
        (2 until added.size step 2).filter { added[it + 1] and ADDED_SPECIAL != 0 }.mapTo(HashSet()) { added[it] }
    //endregion

    /** Ids to text, special tokens left out or not. */
    @JvmOverloads
    fun decode(ids: IntArray, skipSpecial: Boolean = true): String =
        decoder.joined(ids.filter { flags(it) and KNOWN != 0 && !(skipSpecial && flags(it) and SPECIAL != 0) }.map(::piece))

    //region token-classification
    /** The tokens of a text as pieces of a vocabulary, joined. */
    internal fun joined(pieces: List<ByteArray>): String = decoder.joined(pieces)
    //endregion
}

private const val MOST_BYTES = 1 shl 20 // far more than a model reads at once
private const val STRIDE = 128 // tokens that two windows share: the document stride of BERT's run_squad.py
private const val SPECIAL_PART = 2 // of a template
private const val SPECIAL = 1 // flags of tokens
private const val ADDED = 2
private const val KNOWN = 4
