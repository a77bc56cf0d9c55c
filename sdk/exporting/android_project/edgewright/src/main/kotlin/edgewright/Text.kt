package edgewright

/** A text as characters (code points), as offsets count them. */
internal class Text(text: String) {
    private val codes: IntArray = IntArray(text.codePointCount(0, text.length)).also { all ->
        var at = 0
        for (i in all.indices) {
            all[i] = text.codePointAt(at)
            at += Character.charCount(all[i])
        }
    }

    fun slice(start: Int, end: Int): String = String(codes, start, end - start)

    fun isBlank(at: Int): Boolean = codes.getOrNull(at) == ' '.code

    /** A stretch without the spaces at its ends, nothing at its beginning where there is nothing else. */
    fun strip(start: Int, end: Int): IntRange {
        var first = start
        var last = end
        while (first < last && isSpace(codes[first])) first++
        if (first == last) return start until start
        while (last > first && isSpace(codes[last - 1])) last--
        return first until last
    }
}
