package edgewright

import java.io.BufferedOutputStream
import java.io.FileInputStream
import java.lang.management.ManagementFactory
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.channels.FileChannel

/** As tokens.c, on the JVM: `FILE [ROUNDS]`. What opening costs goes to stderr too, and each round's time. */
fun main(words: Array<String>) {
    val clock = ManagementFactory.getThreadMXBean()
    val began = clock.currentThreadCpuTime
    val map = FileInputStream(words[0]).channel.use { it.map(FileChannel.MapMode.READ_ONLY, 0, it.size()) }
    val tokenizer = Tokenizer(map)
    System.err.println("open %.6f".format(java.util.Locale.ROOT, (clock.currentThreadCpuTime - began) / 1e9))
    val given = ByteBuffer.wrap(System.`in`.readBytes()).order(ByteOrder.LITTLE_ENDIAN)
    val texts = ArrayList<String>()
    while (given.remaining() >= 4) texts += String(ByteArray(given.getInt()).also { given.get(it) }, Charsets.UTF_8)
    val out = BufferedOutputStream(System.out)
    repeat(words.getOrElse(1) { "1" }.toInt()) { round ->
        val start = clock.currentThreadCpuTime
        for (text in texts) {
            val one = if (round == 0) null else tokenizer.encode(text)
            if (one != null) continue
            val found = try {
                tokenizer.encode(text)
            } catch (error: EdgewrightException) {
                null
            }
            val row = ByteBuffer.allocate(4 + 12 * (found?.size ?: 0)).order(ByteOrder.LITTLE_ENDIAN)
            row.putInt(found?.size ?: -1)
            for (i in 0 until (found?.size ?: 0)) row.putInt(found!!.ids[i]).putInt(found.starts[i]).putInt(found.ends[i])
            out.write(row.array())
        }
        System.err.println("%.6f".format(java.util.Locale.ROOT, (clock.currentThreadCpuTime - start) / 1e9))
    }
    out.flush()
}
