package edgewright.reactnative

import com.facebook.react.bridge.Arguments
import com.facebook.react.bridge.Promise
import com.facebook.react.bridge.ReactApplicationContext
import com.facebook.react.bridge.ReactContextBaseJavaModule
import com.facebook.react.bridge.ReactMethod
import com.facebook.react.bridge.WritableMap
import edgewright.Edgewright
import edgewright.EdgewrightException
import java.util.concurrent.Executors

/**
 * The module of `edgewright export android` in React Native: `edgewright.ts` is its other half. One call after another.
 *
 * An export has its own bundle's task alone: leave out the other calls below, or export with
 * `--tasks text-classification,token-classification,feature-extraction`.
 */
class EdgewrightModule(context: ReactApplicationContext) : ReactContextBaseJavaModule(context) {
    private val calls = Executors.newSingleThreadExecutor()
    private val model = lazy { Edgewright.open(context) }

    override fun getName() = "Edgewright"

    @ReactMethod
    fun classify(text: String, pair: String?, topK: Int, promise: Promise) = asked(promise) { model ->
        val labels = Arguments.createArray()
        for (label in model.classify(text, pair, topK)) labels.pushMap(map { putString("label", label.label); putDouble("score", label.score) })
        labels
    }

    @ReactMethod
    fun tag(text: String, promise: Promise) = asked(promise) { model ->
        val entities = Arguments.createArray()
        for (entity in model.tag(text)) entities.pushMap(
            map {
                putString("label", entity.label)
                putString("text", entity.text)
                putDouble("score", entity.score)
                putInt("start", entity.start)
                putInt("end", entity.end)
            },
        )
        entities
    }

    @ReactMethod
    fun embed(text: String, promise: Promise) = asked(promise) { model ->
        val vector = Arguments.createArray()
        for (number in model.embed(text)) vector.pushDouble(number.toDouble())
        vector
    }

    @Suppress("OVERRIDE_DEPRECATION")
    override fun onCatalystInstanceDestroy() {
        calls.execute { if (model.isInitialized()) model.value.close() }
        calls.shutdown()
    }

    private fun asked(promise: Promise, call: (Edgewright) -> Any) = calls.execute {
        try {
            promise.resolve(call(model.value))
        } catch (error: EdgewrightException) {
            promise.reject(error.reason.name, error.message, error)
        }
    }

    private fun map(fill: WritableMap.() -> Unit): WritableMap = Arguments.createMap().apply(fill)
}
