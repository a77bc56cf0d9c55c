package edgewright

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
