package edgewright

import edgewright.EdgewrightException.Reason
import org.json.JSONArray
import org.json.JSONException
import org.json.JSONObject
import kotlin.math.abs

/** vectors.json: what the bundle answers, with its token ids, to be replayed on the device. */
internal class GoldenCases(private val asset: Asset) {
    private val names = listOf("label", "entity_group", "answer", "token_str", "text") // by which Python's answers go

    /** How many cases there are. Throws of the first that has other tokens, or an answer that is far from Python's. */
    fun replay(settings: Settings, tokenizer: Tokenizer, engine: Engine): Int = try {
        replay(JSONArray(asset.text()), settings, tokenizer, engine)
    } catch (error: JSONException) {
        fail(Reason.ALTERED, "vectors.json is not what was exported: ${error.message}", error)
    }

    private fun replay(cases: JSONArray, settings: Settings, tokenizer: Tokenizer, engine: Engine): Int {
        for (at in 0 until cases.length()) {
            val case = cases.getJSONObject(at)
            val where = "golden case ${at + 1} of ${cases.length()}"
            val seen = ArrayList<String>()
            val mine = answer(Runner(settings, tokenizer, Seen(engine, seen)), parts(case.get("text")))
            val ids = case.getJSONArray("ids").let { rows -> List(rows.length()) { rows.getJSONArray(it).join(" ") } }
            if (seen.sorted() != ids.sorted()) fail(Reason.GOLDEN, "$where has other token ids than in Python")
            val apart = distance(mine, theirs(case.get("answer")))
            if (!(apart <= MOST_APART)) fail(Reason.GOLDEN, "$where: the answer is $apart from Python's")
        }
        return cases.length()
    }

    private fun parts(item: Any): List<Any> = if (item is JSONArray) List(item.length()) { item.get(it) } else listOf(item)

    private fun texts(list: Any): List<String> = (list as JSONArray).let { all -> List(all.length()) { all.getString(it) } }

    private fun answer(runner: Runner, item: List<Any>): List<Pair<String, Double>> {
        val text = item[0] as String
        return when (runner.settings.task) {
            "text-classification" -> runner.classify(text, item.getOrNull(1) as String?, 1).map { it.label to it.score }
            "token-classification" -> runner.tag(text, Aggregation.WORDS).map { it.label to it.score }
            "fill-mask" -> runner.fill(text, 5).map { it.token to it.score }
            "question-answering" -> runner.answer(text, item[1] as String, 1, 30, false).map { it.text to it.score }
            "text-ranking" -> runner.rank(text, texts(item[1])).map { it.text to it.score }
            "zero-shot-classification" -> runner.choose(text, texts(item[1]), false, "This example is {}.").map { it.label to it.score }
            "feature-extraction" -> runner.embed(text).map { "" to it.toDouble() }
            else -> emptyList()
        }
    }

    /** An answer of Python's pipeline as names and scores. */
    private fun theirs(answer: Any): List<Pair<String, Double>> = when {
        answer is JSONArray -> List(answer.length()) { theirs(answer.get(it)) }.flatten()
        answer !is JSONObject -> listOf("" to (answer as Number).toDouble())
        answer.has("labels") -> texts(answer.get("labels")).mapIndexed { at, label -> label to answer.getJSONArray("scores").getDouble(at) }
        else -> listOf(answer.getString(names.first { answer.has(it) }) to answer.getDouble("score"))
    }

    /** The largest difference; of another name it may be nearly a tie. */
    private fun distance(mine: List<Pair<String, Double>>, theirs: List<Pair<String, Double>>): Double =
        if (mine.size != theirs.size) Double.POSITIVE_INFINITY
        else mine.indices.maxOfOrNull { abs(mine[it].second - theirs[it].second) / maxOf(1.0, abs(theirs[it].second)) } ?: 0.0

    /** Notes the rows of tokens that an engine is given, without their padding. */
    private class Seen(private val engine: Engine, private val rows: MutableList<String>) : Engine by engine {
        override fun run(inputs: List<Input>, values: List<LongArray>, rows: Int, outputs: List<String>): List<Output> {
            fun values(name: String) = inputs.indexOfFirst { it.name == name }.let(values::getOrNull)
            val ids = values("input_ids") ?: LongArray(0)
            val mask = values("attention_mask")
            val size = ids.size / rows
            for (row in 0 until rows)
                this.rows += (row * size until (row + 1) * size).filter { mask == null || mask[it] != 0L }.joinToString(" ") { "${ids[it]}" }
            return engine.run(inputs, values, rows, outputs)
        }
    }
}

private const val MOST_APART = 0.05 // of scores: int8 is rounded elsewhere on other machines, a wrong kernel is far off
