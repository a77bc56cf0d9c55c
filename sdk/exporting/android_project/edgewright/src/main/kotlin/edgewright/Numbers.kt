package edgewright

import java.util.PriorityQueue
import kotlin.math.exp

/** Logits -> probabilities, in doubles. */
internal fun softmax(logits: FloatArray, from: Int = 0, count: Int = logits.size): DoubleArray {
    var most = Double.NEGATIVE_INFINITY
    for (i in from until from + count) most = maxOf(most, logits[i].toDouble())
    var sum = 0.0
    val out = DoubleArray(count) { exp(logits[from + it] - most).also { one -> sum += one } }
    for (i in 0 until count) out[i] /= sum
    return out
}

internal fun sigmoid(x: Double): Double = if (x >= 0) 1 / (1 + exp(-x)) else exp(x) / (1 + exp(x))

/** The places of the largest values, falling; of equals the first stands first. */
internal fun largest(values: DoubleArray, count: Int): List<Int> {
    val order = Comparator<Int> { a, b ->
        val apart = (values[b] + 0.0).compareTo(values[a] + 0.0) // 0.0 makes one zero of both
        if (apart != 0) apart else a.compareTo(b)
    }
    if (count >= values.size / 4) return values.indices.sortedWith(order).take(count)
    val kept = PriorityQueue(count + 1, order.reversed())
    for (i in values.indices) {
        if (kept.size == count && values[i] <= values[kept.peek()!!]) continue
        kept.add(i)
        if (kept.size > count) kept.poll()
    }
    return kept.sortedWith(order)
}

internal fun largest(values: DoubleArray, from: Int, count: Int): Int {
    var best = from
    for (i in from until from + count) if (values[i] > values[best]) best = i
    return best - from
}

internal fun FloatArray.doubles(from: Int = 0, count: Int = size): DoubleArray = DoubleArray(count) { this[from + it].toDouble() }
