package edgewright

/** Why an answer ended: by the model's own token, a stop string, the tokens asked for, a full context, or its caller. */
enum class Ending { END, STOP, LENGTH, CONTEXT, CANCELLED }

/** What was written or translated; [reused] of the prompt's tokens lay in the cache already. */
class Written(val text: String, val tokens: IntArray, val ending: Ending, val promptTokens: Int, val reused: Int, val firstMs: Double, val decodeMs: Double)
