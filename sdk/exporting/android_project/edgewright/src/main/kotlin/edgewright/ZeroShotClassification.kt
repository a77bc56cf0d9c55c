package edgewright

import edgewright.EdgewrightException.Reason

internal fun Runner.choose(text: String, labels: List<String>, multiLabel: Boolean, hypothesis: String): List<Label> {
    val entailed = settings.labels.indexOfFirst { it.startsWith("entail", ignoreCase = true) }
    if (labels.isEmpty()) fail(Reason.ARGUMENT, "zero-shot-classification wants labels to choose from")
    if ("{}" !in hypothesis) fail(Reason.ARGUMENT, "zero-shot-classification wants a {} for the label")
    if (entailed < 0) fail(Reason.ARGUMENT, "zero-shot-classification wants a model of natural language inference")
    val other = if (entailed == 0) settings.labels.size - 1 else 0
    val pairs = labels.map { label ->
        val logits = run(encode(text, hypothesis.replaceFirst("{}", label), first = true))[0]
        check(logits, 2, 1, settings.labels.size)
        floatArrayOf(logits.data[other], logits.data[entailed])
    }
    val scores = if (multiLabel || labels.size == 1) DoubleArray(pairs.size) { softmax(pairs[it])[1] } else softmax(FloatArray(pairs.size) { pairs[it][1] })
    val last = labels.size - 1 // of equals the last stands first, as in transformers
    return largest(scores.reversedArray(), labels.size).map { Label(labels[last - it], scores[last - it]) }
}
