package edgewright.sample

import android.app.Activity
import android.os.Bundle
import android.widget.Button
import android.widget.EditText
import android.widget.LinearLayout
import android.widget.TextView
import edgewright.Edgewright
import edgewright.EdgewrightException
import java.util.concurrent.Executors

/** A text, a button, and what the model says. */
class MainActivity : Activity() {
    private val worker = Executors.newSingleThreadExecutor() // opening and asking take their time: not on the main thread
    private var model: Edgewright? = null

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        val given = EditText(this).apply { hint = "text; of a pair or a list, each on its own line" }
        val said = TextView(this).apply { text = "opening" }
        val button = Button(this).apply { text = "ask" }
        button.setOnClickListener { on(said) { model!!.asked(given.text.toString()) } }
        setContentView(LinearLayout(this).apply {
            orientation = LinearLayout.VERTICAL
            listOf(given, button, said).forEach(::addView)
        })
        on(said) { opened(this).also { model = it }.task }
    }

    private fun on(said: TextView, step: () -> String) = worker.execute {
        val words = try {
            step()
        } catch (error: EdgewrightException) {
            "${error.reason}: ${error.message}"
        }
        runOnUiThread { said.text = words }
    }

    override fun onDestroy() {
        worker.execute { model?.close() }
        worker.shutdown()
        super.onDestroy()
    }
}

/** What a model answers to lines of text. */
internal fun Edgewright.asked(text: String): String {
    val lines = text.lines()
    val rest = lines.drop(1)
    return when (task) {
        "text-classification" -> classify(text, topK = 3)
        "token-classification" -> tag(text)
        "fill-mask" -> fill(text)
        "question-answering" -> answer(lines[0], rest.joinToString("\n"))
        "text-ranking" -> rank(lines[0], rest)
        "zero-shot-classification" -> choose(lines[0], rest)
        "text-generation" -> listOf(if (chats) write(listOf(edgewright.Message("user", text))).text else write(text).text)
        "translation" -> listOf(translate(text).text)
        "feature-extraction" -> listOf(embed(text).take(8))
        else -> emptyList()
    }.joinToString("\n")
}
