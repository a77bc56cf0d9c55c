package edgewright

import kotlin.math.exp

/** A logit may be multiplied or divided by so much and be a finite number, as in Python; what is colder is greedy. */
internal const val MOST_PENALTY = 1e30
internal const val COLDEST = 1e-30

/** Rules of sampling, every one said. */
internal class Sampling(
    val temperature: Double,
    val topK: Int,
    val topP: Double,
    val minP: Double,
    val penalty: Double,
    val ngram: Int,
    val seed: Long?,
)

/** Which token comes next, by the order of rules, the draws and the widths of edgewright.generation.sampling. */
internal class Sampler(private val how: Sampling, private val words: Int) {
    private val random = Pcg64(how.seed ?: java.security.SecureRandom().nextLong())

    /** The next token after the first `n` of those `before`, -1 where a logit is no number. */
    fun next(logits: FloatArray, before: IntArray, n: Int): Int {
        if (!logits[likeliest(logits)].isFinite()) return -1
        val ruled = if (how.penalty != 1.0 || how.ngram > 0) ruled(logits, before, n) else logits
        val best = likeliest(ruled)
        return if (how.temperature < COLDEST || how.topK == 1 || !ruled[best].isFinite()) best else drawn(ruled)
    }

    /** The first of the largest; one that is no number is larger than all. */
    private fun likeliest(logits: FloatArray): Int {
        var best = 0
        for (i in logits.indices) {
            if (logits[i].isNaN()) return i
            if (logits[i] > logits[best]) best = i
        }
        return best
    }

    private fun ruled(logits: FloatArray, before: IntArray, n: Int): FloatArray {
        val made = logits.copyOf()
        val penalty = how.penalty.toFloat()
        if (how.penalty != 1.0) {
            val seen = BooleanArray(words)
            for (i in 0 until n) {
                val id = before[i]
                if (!seen[id]) made[id] = if (made[id] < 0) made[id] * penalty else made[id] / penalty
                seen[id] = true
            }
        }
        val tail = how.ngram - 1
        if (how.ngram > 0) for (at in 0..n - how.ngram)
            if ((0 until tail).all { before[at + it] == before[n - tail + it] }) made[before[at + tail]] = Float.NEGATIVE_INFINITY
        return made
    }

    private fun drawn(logits: FloatArray): Int {
        val scores = DoubleArray(words) { logits[it] / how.temperature }
        val some = how.topK in 1 until words
        var kept = largest(scores, if (some) how.topK else words)
        if (some) { // those as likely as the last one stay
            val least = scores[kept.last()]
            kept = kept + scores.indices.filter { scores[it] == least && it > kept.last() }
        }
        var shares = DoubleArray(kept.size) { exp(scores[kept[it]] - scores[kept[0]]) }
        if (how.topP < 1) {
            val total = summed(shares, 0, shares.size)
            var before = 0.0
            val within = kept.indices.filter {
                val share = shares[it] / total
                before += share
                before - share < how.topP
            }
            kept = within.map { kept[it] }
            shares = DoubleArray(within.size) { shares[within[it]] }
        }
        val floor = how.minP * shares[0]
        val high = kept.indices.filter { shares[it] >= floor }
        val left = DoubleArray(high.size) { shares[high[it]] }
        val mark = random.next() * summed(left, 0, left.size)
        var sum = 0.0
        for (i in left.indices) {
            sum += left[i]
            if (sum > mark) return kept[high[i]]
        }
        return kept[high.last()]
    }

    /** A sum in numpy's order, so that it has the same last bits. */
    private fun summed(a: DoubleArray, from: Int, n: Int): Double {
        val half = n / 2 - n / 2 % 8
        if (n > 128) return summed(a, from, half) + summed(a, from + half, n - half)
        var i = 0
        var sum = 0.0
        if (n >= 8) {
            val s = a.copyOfRange(from, from + 8)
            i = 8
            while (i + 8 <= n) {
                for (k in 0 until 8) s[k] += a[from + i + k]
                i += 8
            }
            sum = ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]))
        }
        while (i < n) sum += a[from + i++]
        return sum
    }
}

/** PCG64 (pcg-random.org, XSL-RR) as numpy seeds and draws it, in two halves of 64 bits. */
internal class Pcg64(seed: Long) {
    private var high = 0L
    private var low = 0L
    private val stepHigh: Long
    private val stepLow: Long

    init {
        val made = stirred(seed)
        stepHigh = made[2] shl 1 or (made[3] ushr 63)
        stepLow = made[3] shl 1 or 1
        step()
        add(made[0], made[1])
        step()
    }

    /** A number from 0 to 1, without 1. */
    fun next(): Double {
        step()
        return (java.lang.Long.rotateRight(high xor low, (high ushr 58).toInt()) ushr 11) / 9007199254740992.0
    }

    private fun step() {
        val a = low and MASK
        val b = low ushr 32
        val c = FACTOR_LOW and MASK
        val d = FACTOR_LOW ushr 32
        val first = a * c
        val middle = b * c + (first ushr 32)
        val other = a * d + (middle and MASK)
        high = b * d + (middle ushr 32) + (other ushr 32) + high * FACTOR_LOW + low * FACTOR_HIGH
        low = other shl 32 or (first and MASK)
        add(stepHigh, stepLow)
    }

    private fun add(otherHigh: Long, otherLow: Long) {
        low += otherLow
        high += otherHigh + if (low + Long.MIN_VALUE < otherLow + Long.MIN_VALUE) 1 else 0
    }

    /** numpy's SeedSequence (M. E. O'Neill's seed_seq): a pool of four words, stirred. */
    private fun stirred(seed: Long): LongArray {
        var by = 0x43B0D7E5
        fun stir(value: Int): Int {
            var mixed = value xor by
            by *= -0x6CE1778B // 0x931E8875
            mixed *= by
            return mixed xor (mixed ushr 16)
        }
        val pool = intArrayOf(seed.toInt(), (seed ushr 32).toInt(), 0, 0).let { given -> IntArray(4) { stir(given[it]) } }
        for (i in 0 until 4) for (k in 0 until 4) if (i != k) {
            val mixed = -0x35FE0623 * pool[k] - 0x4973F715 * stir(pool[i]) // 0xCA01F9DD
            pool[k] = mixed xor (mixed ushr 16)
        }
        by = -0x74AE0623 // 0x8B51F9DD
        val made = LongArray(4)
        for (i in 0 until 8) {
            var value = pool[i % 4] xor by
            by *= 0x58F38DED
            value *= by
            made[i / 2] = made[i / 2] or ((value xor (value ushr 16)).toLong() and MASK shl 32 * (i % 2))
        }
        return made
    }
}

private const val MASK = 0xFFFFFFFFL
private const val FACTOR_HIGH = 0x2360ED051FC65DA4L
private const val FACTOR_LOW = 0x4385DF649FCCF645L
