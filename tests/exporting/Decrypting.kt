package edgewright

import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.security.KeyStore
import java.security.MessageDigest
import java.security.ProviderException
import javax.crypto.KeyGenerator

/**
 * Models and files that open with a key; a line for each.
 *
 * `files KEY FILE...`: what a file holds, as a hash. `model KEY ASSETS TEXT`: golden cases and the best label, or twelve tokens. `kept KEY OTHER ASSETS
 * SCRATCH`: what is asked for from one start to the next, on a device whose store of keys is Java's.
 */
fun main(words: Array<String>) {
    val key = File(words[1]).readBytes()
    when (words[0]) {
        "files" -> words.drop(2).forEach { path -> println(told { hash(decrypted("model.onnx", ByteBuffer.wrap(File(path).readBytes()).asReadOnlyBuffer(), key)) }) }
        "model" -> {
            println(told { Edgewright.open(File(words[2]), 1).use { "it opened" } })
            println(told { Edgewright.openEncrypted(File(words[2]), key, 1).use { "${it.check()} ${best(it, words[3])}" } })
        }
        else -> starts(key, File(words[2]).readBytes(), File(words[3]), File(words[4]))
    }
}

private fun best(model: Edgewright, text: String): String = when {
    text.isEmpty() -> ""
    model.task == "text-generation" -> model.write(text, Generation(maxNewTokens = 12, temperature = 0.0)).text.replace("\n", "\\n")
    else -> model.classify(text)[0].let { "${it.label} ${it.score}" }
}

private fun hash(bytes: ByteBuffer): String {
    if (!bytes.isDirect || bytes.order() != ByteOrder.nativeOrder()) return "no memory that LiteRT takes"
    return MessageDigest.getInstance("SHA-256").also { it.update(bytes) }.digest().joinToString("") { "%02x".format(it) }
}

/** Starts of an app, one after another, with what happens to a device in between. */
private fun starts(key: ByteArray, other: ByteArray, assets: File, scratch: File) {
    val device = Device(scratch)
    val kept = File(scratch, "keys/edgewright")
    fun start(what: String, given: ByteArray = key, store: Device = device) = println("$what | " + told {
        val asked = ArrayList<String>()
        val model = Encrypted { Asset.of(assets, it) }.open(KeptKey(kept, store.wrapping), 1) { name -> given.also { asked += name } }
        model.use { "${it.check() > 0} $asked" }
    })
    start("another key at first", other)
    println("a refused key is kept | ${kept.exists()}")
    start("first")
    println("kept in the clear | ${String(kept.readBytes(), Charsets.ISO_8859_1).contains(String(key, Charsets.ISO_8859_1))}")
    start("second", other)
    start("third, as another process", other, Device(scratch))
    kept.writeBytes(kept.readBytes().also { it[20] = (it[20] + 1).toByte() })
    start("altered")
    kept.writeBytes(kept.readBytes().copyOf(40))
    start("cut")
    device.wrapping.forget()
    start("a store that lost its key")
    start("and then", other)
    device.breaks = 2 // when it is read, and when it is written
    start("a store whose key is broken")
    start("and behind that", other)
    device.breaks = Int.MAX_VALUE
    kept.delete()
    start("a store that never works")
    start("nor later")
    device.breaks = 0
    KeptKey(kept, device.wrapping).keep(other)
    start("another model's key is kept")
    kept.delete()
    kept.mkdirs()
    File(kept, "full").createNewFile()
    start("nothing can be written")
    println("left over | ${kept.parentFile.list()!!.size}")
    kept.deleteRecursively()
    println("no server | " + try {
        Encrypted { Asset.of(assets, it) }.open(KeptKey(kept, device.wrapping), 1) { throw java.net.ConnectException("no network") }.use { "it opened" }
    } catch (error: java.io.IOException) {
        "${error.message}"
    })
}

/** A store of keys as Java has them, where Android's is on a phone: a file, by a password. */
private class Device(scratch: File) {
    /** How many times from now on it throws, as phones' own stores do. */
    var breaks = 0
    private val password = "of the test".toCharArray()
    private val file = File(scratch, "store.p12")
    private val store = KeyStore.getInstance("PKCS12").apply { if (file.exists()) file.inputStream().use { load(it, password) } else load(null, password) }

    val wrapping = Wrapping(password, { if (breaks-- > 0) throw ProviderException("Keystore operation failed") else store.also { breaks = 0 } }) {
        val key = KeyGenerator.getInstance("AES").run {
            init(8 * KEY)
            generateKey()
        }
        store.setKeyEntry(Wrapping.ALIAS, key, password, null)
        file.outputStream().use { store.store(it, password) }
        key
    }
}

private fun told(step: () -> String): String = try {
    step()
} catch (error: EdgewrightException) {
    "${error.reason}: ${error.message}"
}
