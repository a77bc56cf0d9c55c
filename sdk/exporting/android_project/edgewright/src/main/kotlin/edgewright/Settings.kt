package edgewright

import edgewright.EdgewrightException.Reason

/** What a graph is given, int64 or int32. */
internal class Input(val name: String, val wide: Boolean)

/** model.txt: a word and a value a line. */
internal class Settings(text: String) {
    private val all: List<Pair<String, String>>

    init {
        val lines = text.split('\n')
        if (lines[0] != "edgewright 1") fail(Reason.ALTERED, "model.txt is of another version: it begins with ${lines[0].take(80)}")
        if (lines.last().isNotEmpty()) fail(Reason.ALTERED, "model.txt is cut")
        all = lines.subList(1, lines.size - 1).map { it.substringBefore(' ') to plain(it.substringAfter(' ', "")) }
        all.firstOrNull { it.first !in KNOWN && !it.first.startsWith("chat_") }?.let { fail(Reason.ALTERED, "model.txt: ${it.first} is nothing that is known") }
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

    /** Of a model that writes, where its engine does not have them itself. */
    val layers = texts("cache").map { line ->
        val part = line.split(' ', limit = 4)
        if (part.size < 4 || '.' !in part[3] || part[0] !in CACHED) fail(Reason.ALTERED, "model.txt: the cache $line is nothing that is known")
        Layer(part[3], part[0], whole("cache", part[1]), whole("cache", part[2]))
    }
    val writes = task == "text-generation"
    val translates = task == "translation"

    init {
        if (!writes && !translates && (inputs.isEmpty() || outputs.isEmpty() || inputs.any { it.name !in GIVEN })) fail(Reason.ALTERED, "model.txt does not say what the graph is given")
    }

    fun texts(name: String): List<String> = all.filter { it.first == name }.map { it.second }

    fun numbers(name: String): IntArray = texts(name).map { whole(name, it) }.toIntArray()

    fun text(name: String, usual: String? = null): String =
        texts(name).firstOrNull() ?: usual ?: fail(Reason.ALTERED, "model.txt does not say its $name")

    fun number(name: String, usual: Int? = null): Int = whole(name, text(name, usual?.toString()))

    private fun whole(name: String, value: String): Int = value.toIntOrNull() ?: fail(Reason.ALTERED, "model.txt: $name is $value, and is a number")

    /** A value without its escapes: \n and \\. */
    private fun plain(value: String): String = Regex("""\\(.)""").replace(value) { if (it.groupValues[1] == "n") "\n" else it.groupValues[1] }

    private companion object {
        val GIVEN = setOf("input_ids", "attention_mask", "token_type_ids")
        val CACHED = setOf("float32", "float16", "int8")
        val KNOWN = setOf(
            "task", "model", "max_length", "characters", "problem", "activation", "pooling", "normalize", "prompt", "cut_left", "pads_left",
            "pad_id", "mask", "unknown", "label", "input", "output", "vocabulary", "places", "sampling", "end", "cache",
            "encoder", "search", "start", "forced", "renormalize", "banned", "cross", "letter", "lower",
        )
    }
}
