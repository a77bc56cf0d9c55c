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

/** One message of a conversation; roles are those of the model's template, `user` for one. */
data class Message(val role: String, val content: String)

/** What becomes of a full context: the answer ends, its older half goes, or what could fill it is refused. */
enum class WhenFull { STOP, SLIDE, REFUSE }

/** How a model writes, with the meaning that the settings have in Python; what is null is the model's own. */
data class Generation(
    val maxNewTokens: Int = 256,
    val temperature: Double? = null,
    val topK: Int? = null,
    val topP: Double? = null,
    val minP: Double? = null,
    val repetitionPenalty: Double? = null,
    val noRepeatNgramSize: Int? = null,
    /** 64 bits without a sign; null is another answer each time. */
    val seed: Long? = null,
    val stop: List<String> = emptyList(),
    val whenFull: WhenFull = WhenFull.STOP,
    val ignoreEnd: Boolean = false,
)

/** When a search ends, as in transformers: with as many texts as beams, when no better one is likely, or when none can come. */
enum class EarlyStopping { TRUE, FALSE, NEVER }

/** How a translation is looked for, with the meaning that the settings have in Python; what is null is the model's own. */
data class Search(
    /** Texts that are followed at once, 1 to 64; 1 is greedy. */
    val numBeams: Int? = null,
    val lengthPenalty: Double? = null,
    val earlyStopping: EarlyStopping? = null,
    /** Of a sentence. */
    val maxNewTokens: Int? = null,
    /** Whether lines are cut into sentences; one that is longer than the model reads always is, at spaces. */
    val split: Boolean = true,
)

/** Why an answer ended: by the model's own token, a stop string, the tokens asked for, a full context, or its caller. */
enum class Ending { END, STOP, LENGTH, CONTEXT, CANCELLED }

/** What was written or translated; [reused] of the prompt's tokens lay in the cache already. */
class Written(val text: String, val tokens: IntArray, val ending: Ending, val promptTokens: Int, val reused: Int, val firstMs: Double, val decodeMs: Double)
