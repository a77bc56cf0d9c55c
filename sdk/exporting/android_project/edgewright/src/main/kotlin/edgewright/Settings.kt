package edgewright

import edgewright.EdgewrightException.Reason

/** What a graph is given, int64 or int32. */
internal class Input(val name: String, val wide: Boolean)

/** model.txt: a word and a value a line. */
internal class Settings(text: String) {
    private val all: List<Pair<String, String>>
    private val known = setOf(
        "task", "model", "max_length", "characters", "problem", "activation", "pooling", "normalize", "prompt", "cut_left", "pads_left",
        "pad_id", "mask", "unknown", "label", "input", "output", "vocabulary", "places", "sampling", "end", "cache",
        "encoder", "search", "start", "forced", "renormalize", "banned", "cross", "letter", "lower", "encrypted", "cipher", "key",
    )

    init {
        val lines = text.split('\n')
        if (lines[0] != "edgewright 1") fail(Reason.ALTERED, "model.txt is of another version: it begins with ${lines[0].take(80)}")
        if (lines.last().isNotEmpty()) fail(Reason.ALTERED, "model.txt is cut")
        all = lines.subList(1, lines.size - 1).map { it.substringBefore(' ') to plain(it.substringAfter(' ', "")) }
        all.firstOrNull { it.first !in known && !it.first.startsWith("chat_") }?.let { fail(Reason.ALTERED, "model.txt: ${it.first} is nothing that is known") }
    }

    val task = text("task")
    val model = text("model")
    val maxLength = number("max_length")
    val characters = number("characters", 0)
    val problem = text("problem", "")
    val activation = text("activation", "")
    val pooling = text("pooling", "")
    val normalize = number("normalize", 0) != 0
    val prompt = text("prompt", "")
    val cutsLeft = number("cut_left", 0) != 0
    val padsLeft = number("pads_left", 0) != 0
    val padId = number("pad_id", 0)
    val mask = text("mask", "")
    val unknown = text("unknown", "")
    val labels = texts("label")
    val inputs = texts("input").map { Input(it.substringAfter(' '), it.startsWith("int64")) }
    val outputs = texts("output")
    val writes = task == "text-generation"
    val translates = task == "translation"
    val answers = !writes && !translates

    init {
        val given = setOf("input_ids", "attention_mask", "token_type_ids")
        if (answers && (inputs.isEmpty() || outputs.isEmpty() || inputs.any { it.name !in given })) fail(Reason.ALTERED, "model.txt does not say what the graph is given")
    }

    fun texts(name: String): List<String> = all.filter { it.first == name }.map { it.second }

    fun numbers(name: String): IntArray = texts(name).map { whole(name, it) }.toIntArray()

    fun text(name: String, usual: String? = null): String =
        texts(name).firstOrNull() ?: usual ?: fail(Reason.ALTERED, "model.txt does not say its $name")

    fun number(name: String, usual: Int? = null): Int = whole(name, text(name, usual?.toString()))

    fun whole(name: String, value: String): Int = value.toIntOrNull() ?: fail(Reason.ALTERED, "model.txt: $name is $value, and is a number")

    /** A value without its escapes: \n and \\. */
    private fun plain(value: String): String = Regex("""\\(.)""").replace(value) { if (it.groupValues[1] == "n") "\n" else it.groupValues[1] }
}
