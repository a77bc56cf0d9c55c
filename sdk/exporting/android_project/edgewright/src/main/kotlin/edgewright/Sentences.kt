package edgewright

import edgewright.EdgewrightException.Reason

/** Where lines end, and their sentences by punctuation, as edgewright.text.sentences has it; what is a letter model.txt says. */
internal class Sentences(settings: Settings) {
    private val letter = ranges(settings.text("letter"))
    private val lower = ranges(settings.text("lower"))
    private val words = (
        "Mr Mrs Ms Dr Prof St Sr Jr Sra Srta Dra Ud Uds Hr Fr Mme Mlle vs cf etc approx Inc Ltd Co No Nr Nos pp Vol Fig " +
            "Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec"
        ).split(' ')

    /** A text in lines or sentences, with what ends them and the white space behind; joined they are the text. */
    fun of(text: String, split: Boolean): List<String> = lines(text).flatMap { if (split) cut(it) else listOf(it) }

    private fun lines(text: String): List<String> {
        val found = ArrayList<String>()
        var begin = 0
        for (at in text.indices) {
            val inside = text[at] !in BREAKS || text[at] == '\r' && text.getOrNull(at + 1) == '\n'
            if (inside) continue
            found += text.substring(begin, at + 1)
            begin = at + 1
        }
        return if (begin < text.length) found + text.substring(begin) else found
    }

    private fun cut(line: String): List<String> {
        val found = ArrayList<String>()
        var begin = 0
        var at = 0
        while (at < line.length) {
            val stop = at++
            val wide = line[stop] in WIDE_STOPS
            if (!wide && line[stop] !in STOPS) continue
            at = behind(line, at, if (wide) WIDE_STOPS else STOPS)
            val plain = at == stop + 1 && line[stop] == '.'
            at = behind(line, at, if (wide) WIDE_CLOSING else CLOSING)
            var rest = at
            while (rest < line.length && isSpace(line[rest].code)) rest++
            if (!wide && rest == at || rest == line.length || line.codePointAt(rest) in lower) continue
            if (plain && abbreviated(line, begin, stop)) continue
            found += line.substring(begin, rest)
            begin = rest
        }
        return if (begin < line.length) found + line.substring(begin) else found
    }

    private fun behind(line: String, from: Int, set: String): Int {
        var at = from
        while (at < line.length && line[at] in set) at++
        return at
    }

    /** Whether a full stop belongs to an initial, or to a word that is written with one wherever it stands. */
    private fun abbreviated(line: String, begin: Int, stop: Int): Boolean {
        if (stop == begin) return false
        val last = line.codePointBefore(stop)
        if (last in letter && beginsWord(line, begin, stop - Character.charCount(last))) return true
        var from = stop - 1
        while (line[from] in 'A'..'Z' || line[from] in 'a'..'z') { // e.g.
            if (from < stop - 1 && beginsWord(line, begin, from)) return true
            if (from < begin + 2 || line[from - 1] != '.') break
            from -= 2
        }
        return words.any { stop - it.length >= begin && line.startsWith(it, stop - it.length) && beginsWord(line, begin, stop - it.length) }
    }

    private fun beginsWord(line: String, begin: Int, at: Int): Boolean = at == begin || line[at - 1].let { isSpace(it.code) || it in OPENING }

    private operator fun IntArray.contains(c: Int): Boolean {
        val at = java.util.Arrays.binarySearch(this, c) // of each range the first, then the last
        return at >= 0 || at.inv() % 2 == 1
    }

    private fun ranges(said: String): IntArray = try {
        said.split(',').flatMap { one -> listOf(one.substringBefore('-'), one.substringAfter('-')).map { it.toInt(16) } }.toIntArray()
    } catch (error: NumberFormatException) {
        fail(Reason.ALTERED, "model.txt: there are no characters ${error.message}", error)
    }
}

/** A text in pieces of at most so many characters, cut behind spaces where there are some; joined they are it. */
internal fun fitting(text: String, fits: Int): List<String> {
    val found = ArrayList<String>()
    var begin = 0
    var left = text.codePointCount(0, text.length)
    while (left > fits) {
        val most = text.offsetByCodePoints(begin, fits)
        val gap = text.lastIndexOf(' ', most - 1)
        val end = if (gap > begin) gap + 1 else most
        found += text.substring(begin, end)
        left -= text.codePointCount(begin, end)
        begin = end
    }
    return found + text.substring(begin)
}

private const val BREAKS = "\n\u000B\u000C\r\u001C\u001D\u001E\u0085\u2028\u2029" // as Python's str.splitlines has it
private const val STOPS = ".!?\u2026"
private const val CLOSING = "\"'\u201D\u2019\u00BB)]"
private const val WIDE_STOPS = "\u3002\uFF01\uFF1F"
private const val WIDE_CLOSING = "\u300D\u300F\uFF09"
private const val OPENING = "([\"'\u201C\u2018\u00AB\u00BF\u00A1"
