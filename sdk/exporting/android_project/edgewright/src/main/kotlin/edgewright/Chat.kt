package edgewright

import edgewright.EdgewrightException.Reason

/**
 * A conversation to token ids. What stands around each message was found, and held against the model's own template, when
 * the project was made. A person's words are characters: a special token that is written in them is never taken for one.
 */
internal class Chat(private val settings: Settings, private val tokenizer: Tokenizer) {
    val refused = settings.text("chat_refused", "")
    private val trims = settings.number("chat_trims", 0) != 0
    private val turn = listOf("user", "assistant")
    private val inTurns = settings.number("chat_in_turns", 0) != 0
    private val special by lazy { tokenizer.specialIds().map(tokenizer::token).filter { it.isNotEmpty() }.sortedWith { a, b -> b.length.compareTo(a.length) } }

    fun ids(messages: List<Message>): IntArray {
        if (refused.isNotEmpty()) fail(Reason.ARGUMENT, "$refused: give a plain prompt")
        if (messages.isEmpty()) fail(Reason.ARGUMENT, "there is no message")
        val found = ArrayList<Int>()
        val plain = StringBuilder()
        var turns = 0
        fun settle() {
            encode(plain.toString(), literal = false, found)
            plain.setLength(0)
        }
        for ((at, message) in messages.withIndex()) {
            val (before, after) = around(message.role, at)
            if (inTurns && (at > 0 || message.role != "system") && message.role != turn[turns++ % 2])
                fail(Reason.ARGUMENT, "message $at is of the ${message.role}: this model wants user and assistant in turn, system first")
            if (at == 0) plain.append(settings.text(if (message.role == "system") "chat_begin" else "chat_unsaid"))
            plain.append(before)
            val said = if (trims) message.content.trim { isSpace(it.code) } else message.content
            for ((part, literal) in parts(said)) {
                if (literal) settle()
                if (literal) encode(part, literal = true, found) else plain.append(part)
            }
            plain.append(after)
        }
        plain.append(settings.text("chat_answer"))
        settle()
        return found.toIntArray()
    }

    private fun around(role: String, at: Int): Pair<String, String> {
        val before = settings.texts("chat_before_$role").firstOrNull()
            ?: fail(Reason.ARGUMENT, "message $at has the role $role, which this model's template does not take here")
        return before to settings.text("chat_after_$role")
    }

    private fun encode(text: String, literal: Boolean, to: MutableList<Int>) {
        if (text.isNotEmpty()) to += tokenizer.encode(text, null, Cut(), bare = true, literal = literal).ids.toList()
    }

    /** A text cut where special tokens are written, the longest found first; no two overlap. */
    private fun parts(text: String): List<Pair<String, Boolean>> = special.fold(listOf(text to false)) { parts, token ->
        parts.flatMap { (part, literal) ->
            if (literal) listOf(part to true) else part.split(token).flatMap { listOf(token to true, it to false) }.drop(1)
        }
    }.filter { it.first.isNotEmpty() }
}
