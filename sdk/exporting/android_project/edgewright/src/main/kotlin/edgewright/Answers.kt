package edgewright

/** A class of a text. Of a regression the score is its value. */
data class Label(val label: String, val score: Double)

/** What stands in a text from [start] to [end], in characters (code points). [index] is the place of a token by itself. */
data class Entity(val label: String, val text: String, val score: Double, val start: Int, val end: Int, val index: Int)

/** A token in the place of mask number [mask], and the whole text with it. */
data class Filling(val token: String, val id: Int, val text: String, val score: Double, val mask: Int)

/** A part of a context, from [start] to [end] in characters (code points). */
data class Passage(val text: String, val score: Double, val start: Int, val end: Int)

/** A text that was ranked, and its place among those that were given. */
data class Ranked(val text: String, val index: Int, val score: Double)

/** How tokens become entities: by words, as edgewright does, or by a strategy of transformers' pipeline. */
enum class Aggregation { WORDS, NONE, SIMPLE, FIRST, AVERAGE, MAX }
