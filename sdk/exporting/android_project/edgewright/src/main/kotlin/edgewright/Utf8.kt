package edgewright

/** UTF-8 as the tokenizers read it: what is none is U+FFFD, one for each longest part of a character that was cut. */
internal object Utf8 {
    const val REPLACEMENT = 0xFFFD

    /** Writes a character; where the next one goes. */
    fun put(c: Int, out: ByteArray, at: Int): Int {
        if (c < 0x80) {
            out[at] = c.toByte()
            return at + 1
        }
        val more = if (c < 0x800) 1 else if (c < 0x10000) 2 else 3
        out[at] = ((0xFF00 shr more + 1) and 0xFF or (c shr 6 * more)).toByte()
        for (k in 1..more) out[at + k] = (0x80 or (c shr 6 * (more - k) and 63)).toByte()
        return at + more + 1
    }

    fun bytes(c: Int): Int = if (c < 0x80) 1 else if (c < 0x800) 2 else if (c < 0x10000) 3 else 4

    /** The character at a place, and in the upper half where the next one begins. */
    fun at(bytes: ByteArray, size: Int, place: Int): Long {
        val a = bytes[place].toInt() and 255
        if (a < 0x80) return pack(a, place + 1)
        if (a < 0xC2 || a > 0xF4) return pack(REPLACEMENT, place + 1)
        val more = if (a >= 0xF0) 3 else if (a >= 0xE0) 2 else 1
        var low = if (a == 0xE0) 0xA0 else if (a == 0xF0) 0x90 else 0x80
        var high = if (a == 0xED) 0x9F else if (a == 0xF4) 0x8F else 0xBF
        var c = a and (0x3F shr more)
        for (k in 1..more) {
            val b = if (place + k < size) bytes[place + k].toInt() and 255 else -1
            if (b < low || b > high) return pack(REPLACEMENT, place + k)
            c = c shl 6 or (b and 63)
            low = 0x80
            high = 0xBF
        }
        return pack(c, place + more + 1)
    }

    fun codePoints(bytes: ByteArray, size: Int): IntArray {
        val found = IntArray(size)
        var n = 0
        var place = 0
        while (place < size) {
            val next = at(bytes, size, place)
            found[n++] = next.toInt()
            place = (next shr 32).toInt()
        }
        return found.copyOf(n)
    }

    fun text(bytes: ByteArray, size: Int): String = codePoints(bytes, size).let { String(it, 0, it.size) }

    private fun pack(c: Int, next: Int): Long = next.toLong() shl 32 or c.toLong()
}
