package edgewright

import kotlin.math.ln
import kotlin.math.pow

/** What a model's own files say of its tokens: which one a text begins after, and of [forced] the one that stands where a text is cut, -1 for none. */
internal class Rules(settings: Settings) {
    val start = settings.number("start")
    val ends = settings.numbers("end")
    val banned = settings.numbers("banned")
    val forced = settings.number("forced")
    val renormalize = settings.number("renormalize") != 0
}

/**
 * The search for one text, greedy or with several beams, step by step by the rules of edgewright.generation.beams, which are
 * those of transformers' `generate` (version 5), in float32. Nothing here knows the engine.
 */
internal class Beams(private val beams: Int, private val penalty: Double, private val early: EarlyStopping, private val most: Int, private val rules: Rules) {
    /** The next token of each beam. */
    var tokens = IntArray(beams) { rules.start }
        private set

    /** Which beam each beam goes on from. */
    var parents = IntArray(beams) { it }
        private set
    var done = false
        private set

    /** The text that was found. */
    val best get() = found[0]

    private var running = Array(beams) { IntArray(0) }
    private var scores = FloatArray(beams) { if (it > 0) UNWANTED else 0f } // of equal beams the first alone is followed
    private var found = Array(beams) { IntArray(0) }
    private var foundScores = FloatArray(beams) { UNWANTED }
    private var ended = BooleanArray(beams)
    private var hopeful = true

    /** What the logits of a step bring, beam by beam, which are written over: the texts are then so long. */
    fun take(logits: FloatArray, length: Int) = if (beams == 1) likeliest(logits, length) else several(logits, length)

    private fun likeliest(logits: FloatArray, length: Int) {
        for (one in rules.banned) logits[one] = Float.NEGATIVE_INFINITY
        var token = 0
        for (i in logits.indices) if (logits[i] > logits[token]) token = i
        if (length == most && rules.forced >= 0) token = rules.forced
        tokens = intArrayOf(token)
        found = arrayOf(found[0] + token)
        done = length == most || token in rules.ends
    }

    private fun several(logits: FloatArray, length: Int) {
        val words = logits.size / beams
        val last = length == most
        for (beam in 0 until beams) {
            logProbabilities(logits, beam * words, words, last)
            for (i in beam * words until (beam + 1) * words) logits[i] += scores[beam]
        }
        val places = largest(logits, maxOf(2, 1 + rules.ends.size) * beams)
        val values = FloatArray(places.size) { logits[places[it]] }
        val ending = places.map { last || it % words in rules.ends }
        fun text(at: Int) = running[places[at] / words] + places[at] % words
        if (ending.take(beams).any { it }) keep(values, ending, { text(it) }, length) // of the first beams alone, as the others are spare
        val kept = places.indices.sortedWith { a, b -> ending[a].compareTo(ending[b]) }.take(beams) // what goes on first, then by its score
        running = Array(beams) { text(kept[it]) }
        scores = FloatArray(beams) { if (ending[kept[it]]) values[kept[it]] + UNWANTED else values[kept[it]] }
        tokens = IntArray(beams) { places[kept[it]] % words }
        parents = IntArray(beams) { places[kept[it]] / words }
        val full = ended.all { it }
        if (full) look(length)
        done = !hopeful || full && early == EarlyStopping.TRUE || ending.all { it }
    }

    /** Puts the first candidates that end among the found ones. */
    private fun keep(values: FloatArray, ending: List<Boolean>, text: (Int) -> IntArray, length: Int) {
        val share = length.toDouble().pow(penalty).toFloat()
        val full = early == EarlyStopping.TRUE && ended.all { it }
        val merged = foundScores + FloatArray(beams) { at ->
            listOf(full, !hopeful, !ending[at]).fold(values[at] / share) { score, barred -> if (barred) score + UNWANTED else score }
        }
        val best = largest(merged, beams)
        val known = ended
        found = Array(beams) { if (best[it] < beams) found[best[it]] else text(best[it] - beams) }
        ended = BooleanArray(beams) { if (best[it] < beams) known[best[it]] else ending[best[it] - beams] }
        foundScores = FloatArray(beams) { merged[best[it]] }
    }

    /** Whether the best that goes on may still become better than the worst that was found. */
    private fun look(length: Int) {
        val longest = if (early == EarlyStopping.NEVER && penalty > 0) most else length
        val possible = scores[0] / longest.toDouble().pow(penalty).toFloat()
        hopeful = hopeful && foundScores.any { possible > it }
    }

    private fun logProbabilities(all: FloatArray, from: Int, words: Int, last: Boolean) {
        logSoftmax(all, from, words)
        for (one in rules.banned) all[from + one] = Float.NEGATIVE_INFINITY
        if (last && rules.forced >= 0) for (i in 0 until words) all[from + i] = if (i == rules.forced) 0f else Float.NEGATIVE_INFINITY
        if (rules.renormalize) logSoftmax(all, from, words)
    }

    private fun logSoftmax(all: FloatArray, from: Int, words: Int) {
        var most = Float.NEGATIVE_INFINITY
        for (i in from until from + words) most = maxOf(most, all[i])
        var sum = 0.0
        for (i in from until from + words) {
            all[i] -= most
            sum += expBelow(all[i])
        }
        val share = ln(sum).toFloat()
        for (i in from until from + words) all[i] -= share
    }

    /** exp of what is not above 0, by the polynomial of Cephes' expf, within 2 units of the last place: several times as fast as one in doubles. */
    private fun expBelow(given: Float): Float {
        val x = maxOf(given, -87f) // below it is the least number, where 0 would be as good
        val whole = x * 1.44269504f + 12582912f - 12582912f // rounded, as 1.5 * 2^23 leaves no fraction
        val r = x - whole * 0.693359375f + whole * 2.12194440e-4f
        var p = 1.9875691500e-4f
        p = p * r + 1.3981999507e-3f
        p = p * r + 8.3334519073e-3f
        p = p * r + 4.1665795894e-2f
        p = p * r + 1.6666665459e-1f
        p = p * r + 5.0000001201e-1f
        return (p * r * r + r + 1f) * Float.fromBits(whole.toInt() + 127 shl 23)
    }

    /** The places of the largest values, the largest first, of equal ones the first. */
    private fun largest(values: FloatArray, count: Int): IntArray {
        val places = IntArray(minOf(count, values.size))
        var kept = 0
        for (i in values.indices) {
            if (kept == places.size && !(values[i] > values[places[kept - 1]])) continue
            var at = if (kept < places.size) kept++ else kept - 1
            while (at > 0 && values[i] > values[places[at - 1]]) {
                places[at] = places[at - 1]
                at--
            }
            places[at] = i
        }
        return places
    }
}

private const val UNWANTED = -1e9f // what transformers gives to what must not be chosen; finite, so that it can be added
