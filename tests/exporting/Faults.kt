package edgewright

import java.io.ByteArrayInputStream
import java.io.File
import java.io.FileInputStream
import java.util.Collections
import kotlin.concurrent.thread

/** What is asked wrongly, or of files that are no more what they were: `ASSETS SCRATCH`; a line for each. */
fun main(words: Array<String>) {
    val assets = File(words[0])
    val scratch = File(words[1])
    val model = Edgewright.open(assets, 1)
    said("golden cases") { "${model.check()}" }
    said("mapped, as in an app's archive") {
        val mapped = { name: String -> Asset.of(assets, name).let { file -> Asset(name, null, { file.map() }) { FileInputStream(File(assets, name)) } } }
        Edgewright.open(mapped, 1).use { "${it.check()}" }
    }
    said("lone surrogates") { "${model.tokenizer.encode("a\uD800b\uDC00\uD83D").ids.toList() == model.tokenizer.encode("a\uFFFDb\uFFFD\uFFFD").ids.toList()}" }
    said("nothing") { "${model.tag("").size}" }
    said("a megabyte") { "${model.tokenizer.encode("a ".repeat(1 shl 19)).size > 1 shl 19}" }
    said("more than that") { "${model.tag("a ".repeat(1 shl 19) + "a").size}" }
    said("another task") { "${model.classify("a")}" }
    said("no room") { "${model.tokenizer.encode("a", limit = 1).size}" }
    said("two threads") {
        val wanted = model.tag("EU rejects German call", Aggregation.NONE)
        val seen = Collections.synchronizedList(ArrayList<Boolean>())
        List(4) { thread { repeat(25) { seen += model.tag("EU rejects German call", Aggregation.NONE) == wanted } } }.forEach { it.join() }
        "${seen.size} ${seen.all { it }}"
    }
    said("closed while it answers") {
        val other = Edgewright.open(assets, 1)
        val found = Collections.synchronizedList(ArrayList<String>())
        val asking = List(2) {
            thread {
                try {
                    while (true) other.tag("EU rejects German call")
                } catch (error: EdgewrightException) {
                    found += "${error.reason}"
                }
            }
        }
        Thread.sleep(50)
        other.close()
        other.close()
        asking.forEach { it.join() }
        "$found"
    }
    model.close()
    said("after it is closed") { "${model.tag("a")}" }
    for (name in listOf("model.txt", "tokenizer.bin", Settings(File(assets, "model.txt").readText()).model, "vectors.json")) {
        for ((what, change) in CHANGES) said("$name $what") {
            scratch.deleteRecursively()
            assets.copyRecursively(scratch)
            change(File(scratch, name))
            Edgewright.open(scratch, 1).use { "${it.check()}" }
        }
    }
    said("a stream that ends") { Asset("x", null, { error("") }) { ByteArrayInputStream(ByteArray(3)) }.text().length.toString() }
    said("big cores") { "${bigCores(cores(scratch, 1, 1, 1, 1, 2, 2, 2, 3))} ${bigCores(cores(scratch, 2, 2, 1, 1))} ${bigCores(File("nowhere")) in 1..4}" }
}

private val CHANGES = listOf<Pair<String, (File) -> Unit>>(
    "missing" to { it.delete() },
    "empty" to { it.writeBytes(ByteArray(0)) },
    "cut" to { it.writeBytes(it.readBytes().let { all -> all.copyOf(all.size / 2) }) },
    "altered" to { it.writeBytes(it.readBytes().also { all -> all[all.size / 2] = (all[all.size / 2] + 1).toByte() }) },
    "older" to { it.writeBytes(it.readBytes().also { all -> all[if (it.name == "model.txt") 11 else 7] = 0x30 }) },
)

private fun cores(scratch: File, vararg speeds: Int): File {
    scratch.deleteRecursively()
    for ((at, speed) in speeds.withIndex()) File(scratch, "cpu$at/cpufreq/cpuinfo_max_freq").also { it.parentFile.mkdirs() }.writeText("$speed\n")
    return scratch
}

private fun said(what: String, step: () -> String) {
    val words = try {
        step()
    } catch (error: EdgewrightException) {
        "${error.reason}: ${error.message!!.lines()[0]}"
    }
    println("$what | $words")
}
