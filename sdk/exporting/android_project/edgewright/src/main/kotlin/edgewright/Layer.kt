package edgewright

import edgewright.EdgewrightException.Reason

/** Keys or values of a layer, as model.txt says them. */
internal class Layer(val name: String, val type: String, val heads: Int, val width: Int) {
    val present = "present" + name.substring(name.indexOf('.'))
    val bytes = when (type) {
        "float32" -> 4
        "float16" -> 2
        else -> 1
    }
}

/** Of a model that writes or translates, where its engine does not have them itself. */
internal fun Settings.layers(): List<Layer> = texts("cache").map { line ->
    val part = line.split(' ', limit = 4)
    if (part.size < 4 || '.' !in part[3] || part[0] !in setOf("float32", "float16", "int8")) fail(Reason.ALTERED, "model.txt: the cache $line is nothing that is known")
    Layer(part[3], part[0], whole("cache", part[1]), whole("cache", part[2]))
}
