package edgewright

import kotlinx.coroutines.flow.take
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.runBlocking
import org.json.JSONArray
import org.json.JSONObject
import java.io.BufferedOutputStream
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.Locale
import kotlin.system.exitProcess

private val given = ByteBuffer.wrap(System.`in`.readBytes()).order(ByteOrder.LITTLE_ENDIAN)
private val out = BufferedOutputStream(System.out)

/** As writing.c, on the JVM, a model that translates asked the same way: `write ASSETS`, `ids ASSETS`, `check ASSETS`, `flow ASSETS`, `stream TOKENIZER.BIN` or `sample`, in the same forms. */
fun main(words: Array<String>) {
    when (words[0]) {
        "write" -> Edgewright.open(File(words[1]), 1).use(::writeAll)
        "ids" -> Edgewright.open(File(words[1]), 1).use(::idsOfAll)
        "check" -> Edgewright.open(File(words[1]), 1).use { put(it.check()) }
        "flow" -> Edgewright.open(File(words[1]), 1).use(::flowOf)
        "stream" -> streamAll(Tokenizer(Asset.of(File(words[1]).parentFile, File(words[1]).name).map()))
        else -> sampleAll()
    }
    out.flush()
}

private fun takeText(): String? = String(ByteArray(given.getInt()).also { given.get(it) }, Charsets.UTF_8).takeIf { it != "\u0001" }

private fun takeIds(): IntArray = IntArray(given.getInt()) { given.getInt() }

private fun put(vararg numbers: Int) = out.write(ByteBuffer.allocate(4 * numbers.size).order(ByteOrder.LITTLE_ENDIAN).also { numbers.forEach(it::putInt) }.array())

private fun put(text: String) = text.toByteArray().let {
    put(it.size)
    out.write(it)
}

private fun generation(text: String?): Generation = JSONObject(text ?: "{}").let { said ->
    fun number(name: String): Double? = if (said.has(name)) said.getDouble(name) else null
    val stop = said.opt("stop")
    val seed = Regex(""""seed": (\d+)""").find(text ?: "")?.groupValues?.get(1)?.toULong()?.toLong() // org.json has no more than 63 bits
    Generation(
        said.optInt("max_new_tokens", 256), number("temperature"), number("top_k")?.toInt(), number("top_p"), number("min_p"),
        number("repetition_penalty"), number("no_repeat_ngram_size")?.toInt(), seed,
        if (stop is JSONArray) List(stop.length()) { stop.getString(it) } else listOfNotNull(stop as String?),
        WhenFull.valueOf(said.optString("when_full", "stop").uppercase()), said.optBoolean("ignore_end"),
    )
}

private fun search(text: String?): Search = JSONObject(text ?: "{}").let { said ->
    val early = if (said.has("early_stopping")) EarlyStopping.valueOf("${said.get("early_stopping")}".uppercase(Locale.ROOT)) else null
    fun number(name: String): Int? = if (said.has(name)) said.getInt(name) else null
    Search(number("num_beams"), if (said.has("length_penalty")) said.getDouble("length_penalty") else null, early, number("max_new_tokens"), said.optBoolean("split", true))
}

/** Three pieces, of which the last ends the answer; then a whole one, and what the same prompt gives without coroutines. */
private fun flowOf(model: Edgewright) = runBlocking {
    val how = Generation(maxNewTokens = 12, ignoreEnd = true)
    put(model.flow("the road", how.copy(maxNewTokens = 200)).take(3).toList().size)
    put(model.flow("the road", how).toList().joinToString(""))
    put(model.await { write("the road", how) }.text)
}

private fun messages(text: String): List<Message> =
    JSONArray(text).let { all -> List(all.length()) { all.getJSONObject(it).let { one -> Message(one.getString("role"), one.getString("content")) } } }

private fun writeAll(model: Edgewright) {
    while (given.remaining() > 0) {
        val prompt = takeText()
        val asked = takeText()
        val settings = takeText()
        val until = given.getInt()
        val pieces = ArrayList<String>()
        val told = { piece: String ->
            pieces += piece
            busy(model)
            if (until == -2) model.close()
            pieces.size != until
        }
        try {
            val made = when {
                model.task == "translation" -> model.translate(prompt!!, search(settings), told)
                prompt != null -> model.write(prompt, generation(settings), told)
                else -> model.write(messages(asked!!), generation(settings), told)
            }
            if (made.text != pieces.joinToString("")) exitProcess(4)
            put(0)
            put("")
            put(made.ending.ordinal + 1, made.promptTokens, made.reused, made.tokens.size)
            put(*made.tokens)
        } catch (error: EdgewrightException) {
            put(1 + error.reason.ordinal)
            put("${error.reason}: ${error.message}")
            put(0, 0, 0, 0)
        }
        put(pieces.size)
        pieces.forEach(::put)
        if (until == -2) return
    }
}

private fun busy(model: Edgewright) {
    try {
        if (model.task == "translation") model.translate("a") else model.write("a")
        exitProcess(5)
    } catch (error: EdgewrightException) {
        if (error.reason != EdgewrightException.Reason.BUSY) exitProcess(6)
    }
}

private fun idsOfAll(model: Edgewright) {
    while (given.remaining() > 0) {
        val prompt = takeText()
        val asked = takeText()
        val ids = try {
            model.ids(prompt, asked?.let(::messages))
        } catch (error: EdgewrightException) {
            null
        }
        put(if (ids == null) 1 + EdgewrightException.Reason.ARGUMENT.ordinal else 0, ids?.size ?: 0)
        put(*(ids ?: IntArray(0)))
    }
}

private fun streamAll(tokenizer: Tokenizer) {
    while (given.remaining() > 0) {
        val stops = List(given.getInt()) { takeText()!! }
        val stream = TextStream(tokenizer, takeIds(), stops)
        for (id in takeIds()) put(if (stream.stopped) "" else stream.push(id))
        put(stream.finish())
        put(if (stream.stopped) 1 else 0)
    }
}

private fun sampleAll() {
    while (given.remaining() > 0) {
        val how = generation(takeText())
        val words = given.getInt()
        val steps = given.getInt()
        val before = takeIds()
        val sampler = Sampler(
            Sampling(
                how.temperature ?: 0.0, how.topK ?: 0, how.topP ?: 1.0, how.minP ?: 0.0, how.repetitionPenalty ?: 1.0, how.noRepeatNgramSize ?: 0,
                how.seed,
            ),
            words,
        )
        val all = before.copyOf(before.size + steps)
        for (i in before.size until all.size) {
            all[i] = sampler.next(FloatArray(words) { given.getFloat() }, all, i)
            put(all[i])
        }
    }
}
