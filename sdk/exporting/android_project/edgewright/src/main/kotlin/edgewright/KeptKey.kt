package edgewright

import java.io.File
import java.security.KeyStore
import javax.crypto.Cipher
import javax.crypto.SecretKey
import javax.crypto.spec.GCMParameterSpec

/**
 * A key in a file, encrypted by one that does not leave a [KeyStore]. What can go wrong there has many kinds, and phones lose such
 * keys: the file is then as good as none, and the key is asked for again.
 */
internal class KeptKey(private val file: File, private val by: Wrapping) {
    fun read(): ByteArray? = if (file.length() == WRAPPED) tried { unwrapped(file.readBytes()) } else null

    fun keep(key: ByteArray) {
        val wrapped = tried { wrapped(key) } ?: tried { by.forget() }.run { tried { wrapped(key) } } ?: return
        tried { write(wrapped) }
    }

    private fun unwrapped(all: ByteArray): ByteArray = Cipher.getInstance(GCM).run {
        init(Cipher.DECRYPT_MODE, by.key(), GCMParameterSpec(8 * TAG, all, 0, NONCE))
        doFinal(all, NONCE, all.size - NONCE)
    }

    /** The nonce in front is the cipher's own choice, as Android's keys want it. */
    private fun wrapped(key: ByteArray): ByteArray = Cipher.getInstance(GCM).run {
        init(Cipher.ENCRYPT_MODE, by.key())
        doFinal(key).let { iv + it }
    }

    /** The whole file, or the one that was there. */
    private fun write(all: ByteArray) {
        val made = File.createTempFile("key", null, file.parentFile!!.apply { mkdirs() })
        try {
            made.writeBytes(all)
            made.renameTo(file)
        } finally {
            made.delete()
        }
    }

    private inline fun <T> tried(step: () -> T): T? = try {
        step()
    } catch (error: Exception) {
        null
    }
}

/** The key of a [KeyStore] that wraps other ones, which [make] puts there under the name [ALIAS] and gives. */
internal class Wrapping(private val password: CharArray?, private val store: () -> KeyStore, private val make: () -> SecretKey) {
    fun key(): SecretKey = synchronized(LOCK) { store().getKey(ALIAS, password) as SecretKey? ?: make() }

    fun forget() = synchronized(LOCK) { store().deleteEntry(ALIAS) }

    companion object {
        const val ALIAS = "edgewright"
        private val LOCK = Any()
    }
}

private const val WRAPPED = NONCE + KEY + TAG.toLong()
