package edgewright

/**
 * Tokens to text as they come, by the rules of edgewright.generation.text_stream: whole characters, and together what
 * decoding all tokens at once gives. What may still change is held back, and so is the beginning of a stop string.
 */
internal class TextStream(private val tokenizer: Tokenizer, after: IntArray, private val stops: List<String>) {
    private val byte = Regex("<0x[0-9a-fA-F]{2}>")
    private val ids = ArrayList<Int>() // those that are decoded together
    private var told = 0 // of which so many have given their text, which is `shown`
    private var shown = ""
    private var held = ""
    var stopped = false
        private set

    init { // a word that begins what follows a prompt keeps its space; more bytes would be one run with those that end it
        for (end in after.size downTo 1) {
            if (isByte(after[end - 1])) continue
            val context = after.slice(maxOf(0, end - CONTEXT) until end)
            val text = decoded(context)
            if (text.endsWith(BROKEN)) continue
            ids += context
            told = ids.size
            shown = text
            break
        }
    }

    /** What one more token lets go. */
    fun push(token: Int): String {
        ids += token
        if (isByte(token) || tokenizer.decode(intArrayOf(token)).isEmpty()) return "" // a special token ends no run of bytes
        val text = decoded(ids)
        if (text.endsWith(BROKEN)) return ""
        held += unshown(text)
        forget(text)
        return released(last = false)
    }

    fun finish(): String {
        if (stopped) return ""
        if (told < ids.size) held += unshown(decoded(ids))
        told = ids.size
        return released(last = true)
    }

    /** As many characters are left out as were shown. */
    private fun unshown(text: String): String {
        val n = minOf(shown.codePointCount(0, shown.length), text.codePointCount(0, text.length))
        return text.substring(text.offsetByCodePoints(0, n))
    }

    /** Keeps as context only the tokens since the last ones that gave text. */
    private fun forget(text: String) {
        val start = told
        told = ids.size
        shown = text
        val rest = if (start > 0) decoded(ids.subList(start, ids.size)) else ""
        if (rest.isEmpty()) return
        ids.subList(0, start).clear()
        told = ids.size
        shown = rest
    }

    /** What of the held text goes out. */
    private fun released(last: Boolean): String {
        val first = stops.filter { it.isNotEmpty() }.map { held.indexOf(it) }.filter { it >= 0 }.minOrNull()
        stopped = first != null
        val begun = if (last) 0 else stops.maxOfOrNull { stop -> (stop.length - 1 downTo 1).firstOrNull { held.endsWith(stop.substring(0, it)) } ?: 0 } ?: 0
        val out = held.substring(0, first ?: (held.length - begun))
        held = held.substring(out.length)
        return out
    }

    private fun decoded(some: List<Int>): String = tokenizer.decode(some.toIntArray())

    /** A token of one byte, as sentencepiece names it: a run of them is decoded as one. */
    private fun isByte(id: Int): Boolean = byte.matches(tokenizer.token(id))
}

private const val CONTEXT = 8 // tokens before the text that are decoded with it: a word and its neighbours
private const val BROKEN = '\uFFFD'
