package edgewright

import java.io.BufferedOutputStream
import java.io.ByteArrayOutputStream
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.concurrent.thread

/** As answers.c, on the JVM: `ASSETS ENGINE [THREADS]`, of which the engine is named by the environment. */
fun main(words: Array<String>) {
    val given = System.`in`.readBytes()
    val model = Edgewright.open(File(words[0]), 1)
    val out = BufferedOutputStream(System.out)
    val others = List(words.getOrElse(2) { "0" }.toInt()) { thread { ask(model, given) {} } }
    ask(model, given, out::write)
    others.forEach { it.join() }
    model.close()
    out.flush()
}

private class Item(val score: Double, val id: Int, val index: Int, val start: Int, val end: Int, val label: String, val text: String)

private fun ask(model: Edgewright, all: ByteArray, told: (ByteArray) -> Unit) {
    val given = ByteBuffer.wrap(all).order(ByteOrder.LITTLE_ENDIAN)
    while (given.remaining() > 0) {
        val count = given.getInt()
        val ways = IntArray(5) { given.getInt() }
        val texts = List(count) {
            String(ByteArray(given.getInt()).also { given.get(it) }, Charsets.UTF_8).also { given.get() }
        }
        val said = ByteArrayOutputStream()
        fun put(vararg numbers: Int) = said.write(ByteBuffer.allocate(4 * numbers.size).order(ByteOrder.LITTLE_ENDIAN).also { numbers.forEach(it::putInt) }.array())
        fun put(text: String) = text.toByteArray().let {
            put(it.size)
            said.write(it)
        }
        var vector = FloatArray(0)
        try {
            val items = items(model, texts, ways) { vector = it }
            put(0, items.size)
            for (one in items) {
                said.write(ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putDouble(one.score).array())
                put(one.id, one.index, one.start, one.end)
                put(one.label)
                put(one.text)
            }
        } catch (error: EdgewrightException) {
            put(1 + error.reason.ordinal)
            put("${error.reason}: ${error.message}")
            put(0)
        }
        put(vector.size)
        vector.forEach { put(it.toRawBits()) }
        told(said.toByteArray())
    }
}

private fun items(model: Edgewright, texts: List<String>, ways: IntArray, vector: (FloatArray) -> Unit): List<Item> {
    val (topK, aggregation, several, longest, nothing) = ways.toList()
    val pair = texts[1].ifEmpty { null }
    val choices = texts.drop(2)
    fun most(usual: Int) = if (topK == 0) usual else if (topK < 0) Int.MAX_VALUE else topK
    return when (model.task) {
        "text-classification" -> model.classify(texts[0], pair, most(1)).map { Item(it.score, 0, 0, 0, 0, it.label, "") }
        "token-classification" -> model.tag(texts[0], Aggregation.values()[aggregation]).map { Item(it.score, 0, it.index, it.start, it.end, it.label, it.text) }
        "fill-mask" -> model.fill(texts[0], most(5)).map { Item(it.score, it.id, it.mask, 0, 0, it.token, it.text) }
        "question-answering" -> model.answer(texts[0], texts[1], most(1), if (longest == 0) 30 else longest, nothing != 0)
            .map { Item(it.score, 0, 0, it.start, it.end, "", it.text) }
        "text-ranking" -> model.rank(texts[0], choices).map { Item(it.score, 0, it.index, 0, 0, "", it.text) }
        "zero-shot-classification" -> model.choose(texts[0], choices, several != 0).map { Item(it.score, 0, 0, 0, 0, it.label, "") }
        else -> emptyList<Item>().also { vector(model.embed(texts[0])) }
    }
}
