package edgewright

import java.io.ByteArrayOutputStream

/** From tokens to a text: pieces of the vocabulary, as UTF-8, are put together. */
internal class Decoder(private val file: TokenizerFile, private val bytes: Bytes) {
    private val op = file.ints(Section.DECODER)
    private val pulled = listOf(".", "?", "!", ",", "n't", "'m", "'s", "'ve", "'re").map { it.toByteArray() }
    private val broken = "\uFFFD".toByteArray()
    private val steps = if (op[0] == STEPS) steps() else emptyList()

    fun joined(pieces: List<ByteArray>): String = when (op[0]) {
        JOINED -> text { pieces.forEachIndexed { at, piece -> if (at > 0) write(' '.code); write(piece) } }
        PIECES -> text { pieces.forEachIndexed { at, piece -> writePiece(piece, at == 0) } }
        BYTES -> text { for (piece in pieces) write(bytesOf(piece)) }
        SPACES -> spaced(pieces)
        else -> stepped(pieces)
    }

    private inline fun text(write: ByteArrayOutputStream.() -> Unit): String =
        ByteArrayOutputStream().apply(write).toByteArray().let { Utf8.text(it, it.size) }

    private fun ByteArrayOutputStream.write(all: ByteArray) = write(all, 0, all.size)

    /** A piece of WordPiece behind others: with a space before it, or without its mark; tidying pulls up punctuation. */
    private fun ByteArrayOutputStream.writePiece(piece: ByteArray, first: Boolean) {
        val mark = string(1)
        if (!first && piece.begins(mark)) return write(piece, mark.size, piece.size - mark.size)
        if (!first && !(op[3] != 0 && pulled.any { piece.begins(it) })) write(' '.code)
        write(piece)
    }

    private fun bytesOf(piece: ByteArray): ByteArray {
        val found = Utf8.codePoints(piece, piece.size).map { bytes.byte(it) }
        return if (found.any { it < 0 }) piece else ByteArray(found.size) { found[it].toByte() } // an added token stays
    }

    private fun spaced(pieces: List<ByteArray>): String = buildString {
        for ((number, piece) in pieces.withIndex())
            for (c in Utf8.codePoints(piece, piece.size))
                if (c != op[1]) appendCodePoint(c) else if (number > 0 || op[2] == 0) append(' ')
    }

    private fun string(at: Int): ByteArray = ByteArray(op[at + 1]) { file[Section.STRINGS].get(op[at] + it) }

    // Steps one after another: Replace, ByteFallback, Fuse and Strip

    private class Step(val kind: Int, val from: ByteArray, val to: ByteArray, val start: Int, val stop: Int)

    private fun steps(): List<Step> {
        val found = ArrayList<Step>()
        var at = 1
        val none = ByteArray(0)
        while (op[at] != 0) {
            val kind = op[at]
            found += when (kind) {
                REPLACE -> Step(kind, string(at + 1), string(at + 3), 0, 0)
                STRIP -> Step(kind, byteArrayOf(op[at + 1].toByte()), none, op[at + 2], op[at + 3])
                else -> Step(kind, none, none, 0, 0)
            }
            at += if (kind == REPLACE) 5 else if (kind == STRIP) 4 else 1
        }
        return found
    }

    private fun stepped(pieces: List<ByteArray>): String {
        val fuse = steps.indexOfFirst { it.kind == FUSE }.let { if (it < 0) steps.size else it }
        val falls = steps.any { it.kind == FALLBACK }
        val held = ByteArrayOutputStream()
        val whole = ByteArrayOutputStream()
        fun settle() { // bytes that are no text are U+FFFD, one for each
            val raw = held.toByteArray()
            val good = Utf8.text(raw, raw.size).toByteArray().contentEquals(raw)
            if (good) whole.write(raw) else repeat(raw.size) { whole.write(broken) }
            held.reset()
        }
        for (piece in pieces) {
            val byte = if (falls) fallback(piece) else -1
            if (byte >= 0) {
                held.write(byte)
                continue
            }
            settle()
            whole.write(steps.take(fuse).fold(piece) { one, step -> if (step.kind == REPLACE) one.replaced(step) else one.stripped(step) })
        }
        settle()
        return steps.drop(fuse).fold(whole.toByteArray()) { one, step -> one.stripped(step) }.let { Utf8.text(it, it.size) }
    }

    /** `<0xAB>` as its byte, -1 for any other piece. */
    private fun fallback(piece: ByteArray): Int {
        val text = String(piece, Charsets.ISO_8859_1)
        if (text.length != 6 || !text.startsWith("<0x") || text[5] != '>') return -1
        val digits = text.substring(3, 5)
        return if (digits.all { it in '0'..'9' || it in 'a'..'f' || it in 'A'..'F' }) digits.toInt(16) else -1
    }

    private fun ByteArray.replaced(step: Step): ByteArray {
        val out = ByteArrayOutputStream()
        var i = 0
        while (i < size) {
            if (step.from.isNotEmpty() && begins(step.from, i)) {
                out.write(step.to)
                i += step.from.size
            } else {
                out.write(this[i++].toInt())
            }
        }
        return out.toByteArray()
    }

    private fun ByteArray.stripped(step: Step): ByteArray {
        if (step.kind != STRIP) return this
        var start = 0
        var end = size
        while (start < end && start < step.start && this[start] == step.from[0]) start++
        while (end > start && size - end < step.stop && this[end - 1] == step.from[0]) end--
        return copyOfRange(start, end)
    }

    private fun ByteArray.begins(with: ByteArray, at: Int = 0): Boolean =
        at + with.size <= size && with.indices.all { this[at + it] == with[it] }
}

private const val JOINED = 0
private const val PIECES = 1
private const val BYTES = 2
private const val SPACES = 3
private const val STEPS = 4
private const val REPLACE = 1
private const val FALLBACK = 2
private const val FUSE = 3
private const val STRIP = 4
