package edgewright.sample

import android.app.Activity
import android.app.Instrumentation
import android.os.Bundle
import android.os.Debug
import android.os.SystemClock

/** How long this phone takes: `adb shell am instrument -w edgewright.sample/.Benchmark`. */
class Benchmark : Instrumentation() {
    override fun onCreate(arguments: Bundle?) = start()

    override fun onStart() {
        val began = SystemClock.elapsedRealtimeNanos()
        val model = opened(targetContext)
        val opened = SystemClock.elapsedRealtimeNanos()
        val cases = model.check()
        repeat(WARM_UP) { model.asked(TEXT) }
        val times = LongArray(ROUNDS) {
            val start = SystemClock.elapsedRealtimeNanos()
            model.asked(TEXT)
            SystemClock.elapsedRealtimeNanos() - start
        }.sorted()
        val memory = Debug.MemoryInfo().also { Debug.getMemoryInfo(it) }
        model.close()
        finish(Activity.RESULT_OK, Bundle().apply {
            putString("open_ms", "%.2f".format((opened - began) / 1e6))
            putString("golden_cases", "$cases")
            putString("median_ms", "%.2f".format(times[ROUNDS / 2] / 1e6))
            putString("p95_ms", "%.2f".format(times[ROUNDS * 95 / 100] / 1e6))
            putString("pss_mib", "%.1f".format(memory.totalPss / 1024.0))
        })
    }

    private companion object {
        const val WARM_UP = 20
        const val ROUNDS = 200
        const val TEXT = "a charming and often affecting journey\nthat few will forget [MASK] <mask>"
    }
}
