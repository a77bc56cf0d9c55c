package edgewright

internal fun Runner.classify(text: String, pair: String?, topK: Int): List<Label> {
    val labels = settings.labels
    val logits = run(encode(settings.prompt + text, pair))[0]
    check(logits, 2, 1, labels.size)
    val raw = logits.data.doubles()
    val scores = when {
        settings.problem == "multi_label" -> DoubleArray(raw.size) { sigmoid(raw[it]) }
        settings.problem == "regression" -> if (settings.activation == "sigmoid") DoubleArray(raw.size) { sigmoid(raw[it]) } else raw
        else -> softmax(logits.data)
    }
    return largest(raw, topK).map { Label(labels[it], scores[it]) }
}
