package edgewright

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
