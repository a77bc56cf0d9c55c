package edgewright

/** A class of a text. Of a regression the score is its value. */
data class Label(val label: String, val score: Double)
