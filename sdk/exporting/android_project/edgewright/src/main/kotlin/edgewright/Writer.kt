package edgewright

import edgewright.EdgewrightException.Reason
import org.json.JSONException
import org.json.JSONObject
import java.util.concurrent.atomic.AtomicBoolean

/** A model that writes. The cache stays from one answer to the next: what a prompt has in common is not read again. */
internal class Writer(private val settings: Settings, private val tokenizer: Tokenizer, private val decoding: Decoding) {
    private val chat = Chat(settings, tokenizer)
    private val words = settings.number("vocabulary")
    private val ends = settings.numbers("end")
    private val busy = AtomicBoolean()
    private var cached = IntArray(0) // tokens whose keys and values are in the cache
    private var length = 0

    val chats get() = chat.refused.isEmpty()

    fun ids(prompt: String?, messages: List<Message>?): IntArray =
        if (prompt != null) tokenizer.encode(prompt).ids else chat.ids(messages ?: emptyList())

    /** [told] gets the text piece by piece, and ends the answer by false; so does [closed]. */
    fun write(prompt: IntArray, how: Generation, closed: () -> Boolean, told: (String) -> Boolean): Written {
        fits(prompt, how)
        val sampler = Sampler(rules(how), words)
        if (!busy.compareAndSet(false, true)) fail(Reason.BUSY, "the model is writing an answer already")
        try {
            return Answer(prompt, how, sampler, closed, told).written()
        } catch (error: Throwable) {
            length = 0 // what lies in the cache is not known then
            throw error
        } finally {
            busy.set(false)
        }
    }

    private fun fits(prompt: IntArray, how: Generation) {
        val context = decoding.context
        if (prompt.isEmpty()) fail(Reason.ARGUMENT, "the prompt has no tokens")
        if (prompt.size > context) fail(Reason.NO_ROOM, "the prompt has ${prompt.size} tokens, the context is $context")
        if (how.whenFull == WhenFull.REFUSE && prompt.size + how.maxNewTokens > context)
            fail(Reason.NO_ROOM, "${prompt.size} tokens of the prompt and ${how.maxNewTokens} new ones are more than the context of $context")
        prompt.firstOrNull { it !in 0 until words }?.let { fail(Reason.ALTERED, "the tokenizer gives the token $it, the model has $words") }
    }

    /** Every rule, said by the caller or by the model. */
    private fun rules(how: Generation): Sampling {
        val own = try {
            JSONObject(settings.text("sampling"))
        } catch (error: JSONException) {
            fail(Reason.ALTERED, "model.txt: the sampling is no JSON: ${error.message}", error)
        }
        fun number(name: String, given: Number?, usual: Double, fits: (Double) -> Boolean): Double {
            val value = given?.toDouble() ?: own.optDouble(name, usual)
            return if (fits(value) && value.isFinite()) value else fail(Reason.ARGUMENT, "$name is $value, which it cannot be")
        }
        if (how.maxNewTokens < 1) fail(Reason.ARGUMENT, "max_new_tokens is ${how.maxNewTokens}, it must be a whole number from 1")
        return Sampling(
            number("temperature", how.temperature, 0.0) { it >= 0 },
            number("top_k", how.topK, 0.0) { it >= 0 }.toInt(),
            number("top_p", how.topP, 1.0) { it > 0 && it <= 1 },
            number("min_p", how.minP, 0.0) { it in 0.0..1.0 },
            number("repetition_penalty", how.repetitionPenalty, 1.0) { it in COLDEST..MOST_PENALTY },
            number("no_repeat_ngram_size", how.noRepeatNgramSize, 0.0) { it >= 0 }.toInt(),
            how.seed,
        )
    }

    private fun read(ids: IntArray, from: Int, count: Int): FloatArray {
        val logits = decoding.read(ids, from, count, length)
        if (length + count > cached.size) cached = cached.copyOf(2 * (length + count))
        ids.copyInto(cached, length, from, from + count)
        length += count
        return logits
    }

    private inner class Answer(
        private val prompt: IntArray,
        private val how: Generation,
        private val sampler: Sampler,
        private val closed: () -> Boolean,
        private val told: (String) -> Boolean,
    ) {
        private val began = System.nanoTime()
        private val stream = TextStream(tokenizer, prompt, how.stop)
        private val text = StringBuilder()
        private val tokens = Ints()
        private var reused = 0
        private var first = 0L

        fun written(): Written {
            var logits = readPrompt(prompt, told = true)
            var ending = if (closed()) Ending.CANCELLED else null
            while (ending == null) {
                val token = sampler.next(logits, cached, length)
                if (token < 0) fail(Reason.ENGINE, "the logits after $length tokens, ${tokens.n} of them written, are not finite")
                if (first == 0L) first = System.nanoTime()
                ending = if (token in ends && !how.ignoreEnd) Ending.END else one(token)
                if (ending != null) break
                if (length == decoding.context) slide()
                logits = read(intArrayOf(token), 0, 1)
            }
            if (ending != Ending.CANCELLED) tell(stream.finish())
            val firstMs = if (first == 0L) 0.0 else (first - began) / 1e6
            val decodeMs = if (first == 0L) 0.0 else (System.nanoTime() - first) / 1e6
            return Written(text.toString(), tokens.a.copyOf(tokens.n), ending!!, prompt.size, reused, firstMs, decodeMs)
        }

        private fun one(token: Int): Ending? {
            tokens.add(token)
            val goesOn = tell(stream.push(token))
            return when {
                stream.stopped -> Ending.STOP
                !goesOn || closed() -> Ending.CANCELLED
                tokens.n >= how.maxNewTokens -> Ending.LENGTH
                length == decoding.context && how.whenFull != WhenFull.SLIDE -> Ending.CONTEXT
                else -> null
            }
        }

        private fun tell(piece: String): Boolean {
            text.append(piece)
            return piece.isEmpty() || told(piece)
        }

        /** Has exactly these tokens in the cache; those that are there already are not read again, but for the last. */
        private fun readPrompt(ids: IntArray, told: Boolean): FloatArray {
            var shared = 0
            while (shared < length && shared < ids.size - 1 && cached[shared] == ids[shared]) shared++
            length = shared
            if (told) reused = shared
            var logits = FloatArray(0)
            while (length < ids.size && !closed()) logits = read(ids, length, minOf(ids.size - length, CHUNK))
            return logits
        }

        /** The full context without the older half of what is not the prompt. */
        private fun slide() {
            val kept = minOf(prompt.size, length / 2)
            val gone = (length - kept + 1) / 2
            if (gone == length) fail(Reason.NO_ROOM, "a context of $length cannot slide")
            readPrompt(cached.copyOfRange(0, kept) + cached.copyOfRange(kept + gone, length), told = false)
        }
    }
}

private const val CHUNK = 512 // tokens of a prompt that are read at once; more take memory and save no time
