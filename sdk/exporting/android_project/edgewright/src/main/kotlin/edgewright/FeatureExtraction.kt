package edgewright

import kotlin.math.sqrt

internal fun Runner.embed(text: String): FloatArray {
    val whole = settings.pooling == "model"
    val states = run(encode(settings.prompt + text, null))[0]
    check(states, if (whole) 2 else 3, 1)
    val width = states.shape.last().toInt()
    val rows = states.data.size / width
    val pooled = FloatArray(width) { k ->
        when {
            whole || settings.pooling == "cls" -> states.data[k]
            settings.pooling == "max" -> (0 until rows).maxOf { states.data[it * width + k] }
            else -> (0 until rows).sumOf { states.data[it * width + k].toDouble() }.div(rows).toFloat()
        }
    }
    if (whole || !settings.normalize) return pooled
    val length = maxOf(sqrt(pooled.sumOf { it.toDouble() * it }), LEAST)
    return FloatArray(width) { (pooled[it] / length).toFloat() }
}

private const val LEAST = 1e-12 // as torch's normalize has it
