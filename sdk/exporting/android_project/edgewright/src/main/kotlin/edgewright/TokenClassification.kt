package edgewright

import edgewright.EdgewrightException.Reason

/** What stands in a text from [start] to [end], in characters (code points). [index] is the place of a token by itself. */
data class Entity(val label: String, val text: String, val score: Double, val start: Int, val end: Int, val index: Int)

/** How tokens become entities: by words, as edgewright does, or by a strategy of transformers' pipeline. */
enum class Aggregation { WORDS, NONE, SIMPLE, FIRST, AVERAGE, MAX }

internal fun Runner.tag(text: String, aggregation: Aggregation): List<Entity> {
    val row = encode(text, null)
    val logits = run(row)[0]
    val labels = settings.labels.size
    check(logits, 3, 1, labels)
    if (logits.shape[1] != row.size.toLong()) fail(Reason.ENGINE, "the engine gave ${logits.shape[1]} tokens of ${row.size}")
    val chances = DoubleArray(row.size * labels)
    for (i in 0 until row.size) softmax(logits.data, i * labels, labels).copyInto(chances, i * labels)
    val tags = Tags(this, Text(text), row, chances)
    return if (aggregation == Aggregation.WORDS) tags.ofWords() else tags.aggregated(aggregation)
}

/** Tokens with the chances of each label. */
private class Tags(private val runner: Runner, private val text: Text, private val row: Encoding, private val chances: DoubleArray) {
    private val labels = runner.settings.labels
    private val marks = runner.tokenizer.parameters.marksPieces

    private fun best(token: Int): Int = largest(chances, token * labels.size, labels.size)

    // By words: a word has the label of its first token

    private class Word(val first: Int, val best: Int) {
        var last = first
    }

    fun ofWords(): List<Entity> {
        val words = words()
        val rare = labels.all { it == "O" || it.getOrNull(1) == '-' && it[0] in "BIELSU" }
        val found = ArrayList<Entity>()
        var open = ArrayList<Word>()
        var name = ""
        var closed = true
        for (word in words + null) {
            val tag = if (word == null) "O" else labels[word.best]
            val place = tag[0].takeIf { tag.getOrNull(1) == '-' && it in if (rare) "BIELSU" else "BI" }
            val next = if (place == null) tag else tag.substring(2)
            val out = next == "O"
            val starts = closed || place != null && place in "BSU" || name != next
            if (open.isNotEmpty() && (out || starts)) {
                entity(open, name)?.let { found += it }
                open = ArrayList()
            }
            closed = out || place != null && place in "ELSU"
            if (out || word == null) continue
            if (open.isEmpty()) name = next
            open += word
        }
        return found
    }

    private fun words(): List<Word> {
        val words = ArrayList<Word>()
        for (i in 0 until row.size) {
            if (row.sides[i] < 0) continue
            val goesOn = marks && words.isNotEmpty() && row.sides[i - 1] >= 0 && row.words[i - 1] == row.words[i]
            if (goesOn) words.last().last = i else words += Word(i, best(i))
        }
        return words
    }

    private fun entity(words: List<Word>, label: String): Entity? {
        val first = words.first().first
        val last = words.last().last
        val place = text.strip(row.starts[first], row.ends[last])
        if (place.isEmpty()) return null
        val joined = runner.tokenizer.joined((first..last).map { runner.tokenizer.piece(row.ids[it]) })
        val score = words.sumOf { chances[it.first * labels.size + it.best] } / words.size
        return Entity(label, joined.trim { isSpace(it.code) }, score, place.first, place.last + 1, 0)
    }

    // By the strategies of transformers' pipeline, see edgewright.tasks._aggregation

    private class Tagged(val word: ByteArray, val tag: String, val score: Double, val start: Int, val end: Int, val index: Int)

    fun aggregated(aggregation: Aggregation): List<Entity> {
        val all = tagged(aggregation)
        if (aggregation == Aggregation.NONE)
            return all.filter { it.tag != "O" }.map { Entity(it.tag, Utf8.text(it.word, it.word.size), it.score, it.start, it.end, it.index) }
        val groups = ArrayList<ArrayList<Tagged>>()
        for (one in all) {
            val before = groups.lastOrNull()?.last()
            val goesOn = before != null && !one.tag.startsWith("B-") && plain(one.tag) == plain(before.tag)
            if (goesOn) groups.last() += one else groups += arrayListOf(one)
        }
        return groups.filter { it[0].tag.substringAfter('-') != "O" }.map { group ->
            val word = runner.tokenizer.joined(group.map { it.word })
            Entity(group[0].tag.substringAfter('-'), word, group.sumOf { it.score } / group.size, group[0].start, group.last().end, 0)
        }
    }

    private fun plain(tag: String): String = if (tag.startsWith("B-") || tag.startsWith("I-")) tag.substring(2) else tag

    private fun tagged(aggregation: Aggregation): List<Tagged> {
        val single = aggregation == Aggregation.NONE || aggregation == Aggregation.SIMPLE
        val found = ArrayList<Tagged>()
        var i = 0
        while (i < row.size) {
            if (row.sides[i] < 0) {
                i++
                continue
            }
            var j = i + 1
            while (j < row.size && row.sides[j] >= 0 && !single && inside(j)) j++
            found += tagged(i until j, aggregation, single)
            i = j
        }
        return found
    }

    private fun tagged(tokens: IntRange, aggregation: Aggregation, single: Boolean): Tagged {
        val scores = when (aggregation) {
            Aggregation.MAX -> row(tokens.reduce { a, b -> if (most(b) > most(a)) b else a })
            Aggregation.AVERAGE -> DoubleArray(labels.size) { k -> tokens.sumOf { chances[it * labels.size + k] } / tokens.count() }
            else -> row(tokens.first)
        }
        val best = largest(scores, 0, scores.size)
        val pieces = tokens.map(::piece)
        val word = if (single) pieces[0] else runner.tokenizer.joined(pieces).toByteArray()
        return Tagged(word, labels[best], scores[best], row.starts[tokens.first], row.ends[tokens.last], tokens.first)
    }

    private fun row(token: Int): DoubleArray = chances.copyOfRange(token * labels.size, (token + 1) * labels.size)

    private fun most(token: Int): Double = chances[token * labels.size + best(token)]

    private fun unknown(token: Int): Boolean = row.ids[token] == runner.unknown

    /** A token as the vocabulary has it, of an unknown one what the text has. */
    private fun piece(token: Int): ByteArray =
        if (unknown(token)) text.slice(row.starts[token], row.ends[token]).toByteArray() else runner.tokenizer.piece(row.ids[token])

    /** Whether a token goes on with the word before it. */
    private fun inside(token: Int): Boolean {
        if (unknown(token)) return false
        val start = row.starts[token]
        if (!marks) return start > 0 && !text.isBlank(start - 1) && !text.isBlank(start)
        val piece = runner.tokenizer.piece(row.ids[token])
        return piece.count { it.toInt() and 0xC0 != 0x80 } != row.ends[token] - start
    }
}
