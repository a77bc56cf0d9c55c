package edgewright

import edgewright.EdgewrightException.Reason
import org.json.JSONException
import org.json.JSONObject
import java.util.Locale
import java.util.concurrent.atomic.AtomicBoolean

/** A model that translates: a text sentence by sentence, the white space between them as it is. */
internal class Translator(private val settings: Settings, private val tokenizer: Tokenizer, private val model: Translating) {
    private val words = settings.number("vocabulary")
    private val rules = Rules(settings)
    private val sentences = Sentences(settings)
    private val busy = AtomicBoolean()

    /** [told] gets the translation of each sentence, and ends it all by false; so does [closed]. */
    fun translate(text: String, how: Search, closed: () -> Boolean, told: (String) -> Boolean): Written {
        val own = own()
        fun <T> said(name: String, given: T?, fits: (T) -> Boolean, usual: () -> T): T {
            val value = given ?: usual()
            return if (fits(value)) value else fail(Reason.ARGUMENT, "$name is $value, which it cannot be")
        }
        val beams = said("num_beams", how.numBeams, { it in 1..MOST_BEAMS }) { own.getInt("num_beams") }
        val penalty = said("length_penalty", how.lengthPenalty, { it.isFinite() }) { own.getDouble("length_penalty") }
        val early = how.earlyStopping ?: EarlyStopping.valueOf("${own.get("early_stopping")}".uppercase(Locale.ROOT))
        val most = minOf(said("max_new_tokens", how.maxNewTokens, { it > 0 }) { settings.maxLength }, settings.maxLength)
        val search = { Beams(beams, penalty, early, most, rules) }
        val (language, rest) = language(text)
        if (!busy.compareAndSet(false, true)) fail(Reason.BUSY, "the model is translating already")
        try {
            return Translation(language, search, most, closed, told).of(sentences.of(rest, how.split), beams)
        } finally {
            busy.set(false)
        }
    }

    private fun own(): JSONObject = try {
        JSONObject(settings.text("search"))
    } catch (error: JSONException) {
        fail(Reason.ALTERED, "model.txt: the search is no JSON: ${error.message}", error)
    }

    /** The token of the language that a text asks for, such as `>>es<<` at its beginning, and the text behind it. */
    private fun language(text: String): Pair<IntArray, String> {
        val begun = text.trimStart { isSpace(it.code) }
        val end = begun.indexOf("<<") + 2
        val name = if (end > 2) begun.substring(0, end) else ""
        val inner = name.removeSurrounding(">>", "<<")
        val named = inner.length < name.length && inner.none { it == '<' || it == '>' || isSpace(it.code) }
        if (!named || inner.codePointCount(0, inner.length) !in 1..MOST_LANGUAGE) return IntArray(0) to text
        val id = tokenizer.id(name)
        if (id < 0) fail(Reason.ARGUMENT, "the model has no language $name")
        return intArrayOf(id) to begun.substring(end).trimStart { isSpace(it.code) }
    }

    private inner class Translation(
        private val language: IntArray,
        private val search: () -> Beams,
        private val most: Int,
        private val closed: () -> Boolean,
        private val told: (String) -> Boolean,
    ) {
        private val began = System.nanoTime()
        private val text = StringBuilder()
        private val tokens = ArrayList<Int>()
        private var read = 0
        private var firstNs = 0L
        private var decodeNs = 0L
        private var ending = Ending.END

        fun of(all: List<String>, beams: Int): Written {
            for (one in all) if (goesOn()) sentence(one, beams)
            return Written(text.toString(), tokens.toIntArray(), ending, read, 0, firstNs / 1e6, decodeNs / 1e6)
        }

        /** A sentence, and the white space around it as it is. */
        private fun sentence(whole: String, beams: Int) {
            val inner = stripped(whole)
            val from = if (inner.isEmpty()) whole.length else whole.indexOf(inner)
            tell(whole.substring(0, from))
            if (inner.isEmpty() || !goesOn()) return
            val sources = sources(inner)
            for ((at, ids) in sources.withIndex()) {
                val found = written(ids, beams) ?: return
                tokens += found.toList()
                if (found.size == most && goesOn()) ending = Ending.LENGTH
                if (firstNs == 0L) firstNs = System.nanoTime() - began
                tell(stripped(tokenizer.decode(found)) + if (at < sources.size - 1) " " else whole.substring(from + inner.length))
            }
        }

        /** The token ids of a sentence, or of its parts where it is longer than the model reads. */
        private fun sources(sentence: String): List<IntArray> {
            var share = sentence.codePointCount(0, sentence.length)
            var found = listOf(source(sentence))
            while (found.any { it.size > settings.maxLength } && share > 1) {
                share /= 2
                found = fitting(sentence, share).map(::stripped).filter { it.isNotEmpty() }.map(::source)
            }
            if (found.any { it.size > settings.maxLength })
                fail(Reason.NO_ROOM, "a text has no part of at most ${settings.maxLength} tokens, and the model reads no more")
            return found
        }

        private fun source(piece: String): IntArray {
            val ids = language + tokenizer.encode(settings.prompt + piece).ids
            if (ids.isEmpty()) fail(Reason.ARGUMENT, "a text has no tokens")
            ids.firstOrNull { it !in 0 until words }?.let { fail(Reason.ALTERED, "the tokenizer gives the token $it, the model has $words") }
            return ids
        }

        /** The tokens of a translation; null where somebody closed the model meanwhile. */
        private fun written(ids: IntArray, beams: Int): IntArray? {
            model.begin(ids, beams)
            read += ids.size
            val from = System.nanoTime()
            val found = search()
            var length = 0
            while (!found.done) {
                if (!goesOn()) return null
                val logits = model.step(found.tokens)
                if (!logits.all { it.isFinite() }) fail(Reason.ENGINE, "the logits of step $length are not finite")
                found.take(logits, ++length)
                if (!found.done && beams > 1) model.reorder(found.parents)
            }
            decodeNs += System.nanoTime() - from
            return found.best
        }

        private fun goesOn(): Boolean {
            if (closed()) ending = Ending.CANCELLED
            return ending != Ending.CANCELLED
        }

        private fun tell(piece: String) {
            text.append(piece)
            if (piece.isNotEmpty() && !told(piece)) ending = Ending.CANCELLED
        }
    }

    private fun stripped(text: String): String = text.trim { isSpace(it.code) }
}

private const val MOST_BEAMS = 64 // as in Python: beyond a dozen translations get worse
private const val MOST_LANGUAGE = 20 // characters of a language's name, as in Python
