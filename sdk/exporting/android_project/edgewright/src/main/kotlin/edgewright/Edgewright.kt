package edgewright

import android.content.Context
import edgewright.EdgewrightException.Reason
import java.io.Closeable
import java.io.File

/**
 * A model that answers, writes or translates texts as its bundle does in Python.
 *
 *     val model = Edgewright.open(context)
 *     model.classify("a charming and often affecting journey")  // [Label(label=positive, score=0.9987)]
 *     model.close()
 *
 * Calls block, so make them off the main thread; [await] and [flow] are for coroutines. Threads may ask one model at once.
 * Offsets count characters (code points), of which [slice] cuts a text. What goes wrong is an [EdgewrightException].
 */
class Edgewright internal constructor(private val settings: Settings, private val vectors: Asset, val tokenizer: Tokenizer, private val engine: Closeable) :
    Closeable {
    //region answers
    private val runner = (engine as? Engine)?.let { Runner(settings, tokenizer, it) }
    //endregion
    //region text-generation
    private val writer = (engine as? Decoding)?.let { Writer(settings, tokenizer, it) }
    //endregion
    //region translation
    private val translator = (engine as? Translating)?.let { Translator(settings, tokenizer, it) }
    //endregion
    private val lock = Any()
    private var calls = 0

    @Volatile
    private var closed = false

    /** As Hugging Face names it, `text-classification` for one. */
    val task: String get() = settings.task

    //region text-classification
    /** Classes of a text or a pair, the best first. */
    @JvmOverloads
    fun classify(text: String, pair: String? = null, topK: Int = 1): List<Label> =
        asked("text-classification", topK) { classify(text, pair, topK) }
    //endregion

    //region token-classification
    /** Entities of a text, in its order. */
    @JvmOverloads
    fun tag(text: String, aggregation: Aggregation = Aggregation.WORDS): List<Entity> =
        asked("token-classification") { tag(text, aggregation) }
    //endregion

    //region fill-mask
    /** Tokens for each mask of a text, mask by mask, the best first. */
    @JvmOverloads
    fun fill(text: String, topK: Int = 5): List<Filling> = asked("fill-mask", topK) { fill(text, topK) }
    //endregion

    //region question-answering
    /** Parts of a context that answer a question, the best first; with [noAnswer] one may be empty. */
    @JvmOverloads
    fun answer(question: String, context: String, topK: Int = 1, maxTokens: Int = 30, noAnswer: Boolean = false): List<Passage> =
        asked("question-answering", minOf(topK, maxTokens)) { answer(question, context, topK, maxTokens, noAnswer) }
    //endregion

    //region feature-extraction
    /** The vector of a text. */
    fun embed(text: String): FloatArray = asked("feature-extraction") { embed(text) }
    //endregion

    //region text-ranking
    /** Texts by how well they answer a query, the best first. */
    fun rank(query: String, texts: List<String>): List<Ranked> = asked("text-ranking") { rank(query, texts) }
    //endregion

    //region zero-shot-classification
    /** Labels of your own by how well they describe a text, the best first. */
    @JvmOverloads
    fun choose(text: String, labels: List<String>, multiLabel: Boolean = false, hypothesis: String = "This example is {}."): List<Label> =
        asked("zero-shot-classification") { choose(text, labels, multiLabel, hypothesis) }
    //endregion

    //region text-generation
    /** Whether messages can be written to, and not plain prompts alone. */
    val chats: Boolean get() = writer?.chats == true

    /** Writes on from a prompt. [told] gets the text piece by piece, and ends the answer by false; so does [close]. */
    @JvmOverloads
    fun write(prompt: String, how: Generation = Generation(), told: (String) -> Boolean = { true }): Written = written(prompt, null, how, told)

    /** Writes the answer to a conversation, of which what was there the last time is not read again. */
    @JvmOverloads
    fun write(messages: List<Message>, how: Generation = Generation(), told: (String) -> Boolean = { true }): Written =
        written(null, messages, how, told)

    private fun written(prompt: String?, messages: List<Message>?, how: Generation, told: (String) -> Boolean): Written = used {
        val mine = writer ?: fail(Reason.TASK, "this model's task is $task, which does not write")
        mine.write(mine.ids(prompt, messages), how, { closed }, told)
    }
    //endregion

    //region translation
    /**
     * Translates a text sentence by sentence, the white space between them as it is. It may begin with the language that it
     * wants, `>>es<<`. [told] gets the translation of each sentence as soon as it is there, and ends the rest by false; so does
     * [close].
     */
    @JvmOverloads
    fun translate(text: String, how: Search = Search(), told: (String) -> Boolean = { true }): Written = used {
        val mine = translator ?: fail(Reason.TASK, "this model's task is $task, which does not translate")
        mine.translate(text, how, { closed }, told)
    }
    //endregion

    //region text-generation
    internal fun ids(prompt: String?, messages: List<Message>?): IntArray = writer!!.ids(prompt, messages)
    //endregion

    /** Replays the bundle's golden cases: how many there are. Throws where one has other tokens or another answer here. */
    fun check(): Int = used {
        var cases = 0
        //region answers
        if (engine is Engine) cases = GoldenCases(vectors).replay(settings, tokenizer, engine)
        //endregion
        //region text-generation, translation
        if (settings.writes || settings.translates) cases = prompts(vectors, settings, tokenizer)
        //endregion
        cases
    }

    //region answers
    private fun <T> asked(wanted: String, least: Int = 1, call: Runner.() -> T): T {
        if (wanted != task) fail(Reason.TASK, "this model's task is $task, not $wanted")
        if (least < 1) fail(Reason.ARGUMENT, "a number of answers or tokens is at least 1, not $least")
        return used { runner!!.call() }
    }
    //endregion

    /** Between its beginning and end the engine stays. */
    private fun <T> used(call: () -> T): T {
        synchronized(lock) {
            if (closed) fail(Reason.CLOSED, "the model is closed")
            calls++
        }
        try {
            return call()
        } catch (error: OutOfMemoryError) {
            fail(Reason.MEMORY, "there is not enough memory for this text", error)
        } finally {
            left()
        }
    }

    private fun left() {
        val last = synchronized(lock) { --calls == 0 && closed }
        if (last) engine.close()
    }

    /** Calls that run come to their end, and the memory goes behind the last of them; later ones are refused. */
    override fun close() {
        val now = synchronized(lock) {
            val first = !closed
            closed = true
            first && calls == 0
        }
        if (now) engine.close()
    }

    companion object {
        /**
         * Opens the model in an app's assets, mapped where it lies in the archive; one whose weights are a file of their own, or
         * whose engine opens files alone, is put beside the app once. [threads] of the engine; 0 is as many as there are big cores. The first start after the app
         * or the system has changed replays the golden cases.
         */
        @JvmStatic
        @JvmOverloads
        fun open(context: Context, assets: String = "edgewright", threads: Int = 0): Edgewright {
            val weights = "${Settings(packed(context.assets, assets, "model.txt").text()).model}.data"
            val apart = opensFilesAlone() || weights in context.assets.list(assets).orEmpty()
            val model = if (apart) open(unpacked(context, assets), threads) else open({ packed(context.assets, assets, it) }, threads)
            return checkedOnce(context, assets, model)
        }

        /** Opens what an export's assets are, as files, for one that is loaded later. No golden case is replayed. */
        @JvmStatic
        @JvmOverloads
        fun open(directory: File, threads: Int = 0): Edgewright = open({ Asset.of(directory, it) }, threads)

        internal fun open(asset: (String) -> Asset, threads: Int, decrypts: Boolean = false): Edgewright {
            val settings = Settings(asset("model.txt").text())
            val locked = settings.texts("encrypted").firstOrNull()
            if (locked != null && !decrypts) fail(Reason.KEY, "$locked is encrypted: openEncrypted opens it, in a library that was exported with --encrypt")
            val tokenizer = Tokenizer(asset("tokenizer.bin").map())
            if (settings.task !in TASKS) fail(Reason.TASK, "this library has no ${settings.task}, it has ${TASKS.joinToString()}: export it with --tasks ${settings.task}")
            val model = asset(settings.model)
            val most = if (threads > 0) threads else bigCores()
            val engine = when {
                //region text-generation
                settings.writes -> decoding(model, most, settings)
                //endregion
                //region translation
                settings.translates -> translating(asset(settings.text("encoder")), model, most, settings)
                //endregion
                //region answers
                settings.answers -> engine(model, most)
                //endregion
                else -> fail(Reason.TASK, "this library does not open ${settings.model}")
            }
            return Edgewright(settings, asset("vectors.json"), tokenizer, engine)
        }

        /** A part of a text by characters (code points), as answers count them. */
        @JvmStatic
        fun slice(text: String, start: Int, end: Int): String =
            text.substring(text.offsetByCodePoints(0, start), text.offsetByCodePoints(0, end))

        private val TASKS = listOf(
            "text-classification",
            "token-classification",
            "fill-mask",
            "question-answering",
            "feature-extraction",
            "text-ranking",
            "zero-shot-classification",
            "text-generation",
            "translation",
        )
    }
}
