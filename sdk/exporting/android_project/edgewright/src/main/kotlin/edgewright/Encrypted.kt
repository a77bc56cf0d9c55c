package edgewright

import edgewright.EdgewrightException.Reason
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.security.GeneralSecurityException
import java.security.MessageDigest
import javax.crypto.Cipher
import javax.crypto.Mac
import javax.crypto.spec.GCMParameterSpec
import javax.crypto.spec.SecretKeySpec

/** A model of which `edgewright export android --encrypt` encrypted what the engine opens. */
internal class Encrypted(private val asset: (String) -> Asset) {
    private val settings = Settings(asset("model.txt").text())
    private val names = settings.texts("encrypted")

    init {
        if (names.isEmpty()) fail(Reason.ARGUMENT, "${settings.model} is not encrypted: open opens it")
        val cipher = settings.text("cipher")
        if (cipher != CIPHER) fail(Reason.ALTERED, "${names[0]} is encrypted by $cipher, this library decrypts $CIPHER: take the one of the same export")
    }

    /** By which its key is asked for: the first digits of the key's SHA-256. */
    val id = settings.text("key")

    /** Whether it is this model's. */
    fun opensBy(key: ByteArray): Boolean = key.size == KEY && idOf(key) == id

    fun open(key: ByteArray, threads: Int): Edgewright {
        if (key.size != KEY) fail(Reason.KEY, "the key of ${names[0]} has ${key.size} bytes, not $KEY")
        if (!opensBy(key)) fail(Reason.KEY, "the key ${idOf(key)} is not that of ${names[0]}, which is $id")
        return Edgewright.open({ if (it in names) plain(asset(it), key) else asset(it) }, threads, decrypts = true)
    }

    /** Opens by the key that this device keeps; where it keeps none, or another model's, by the one that is [asked] for, and keeps that. */
    fun open(kept: KeptKey, threads: Int, asked: (String) -> ByteArray): Edgewright {
        kept.read()?.let { if (opensBy(it)) return open(it, threads) }
        val key = asked(id)
        return open(key, threads).also { kept.keep(key) }
    }

    private fun plain(file: Asset, key: ByteArray) = Asset(file.name, null, { decrypted(file.name, file.map(), key) }) {
        fail(Reason.ARGUMENT, "${file.name} is no text")
    }

    private fun idOf(key: ByteArray) = MessageDigest.getInstance("SHA-256").digest(key).take(ID_BYTES).joinToString("") { "%02x".format(null, it) }
}

/**
 * What Tink's streaming AEAD wrote, as memory that an engine takes. `edgewright.exporting.encrypted_file` says the format. The bytes
 * come through an array of a segment's size: a cipher's own way from buffer to buffer differs from one Android to another.
 */
internal fun decrypted(name: String, file: ByteBuffer, key: ByteArray): ByteBuffer {
    val all = file.remaining()
    val count = ((all.toLong() + SEGMENT - 1) / SEGMENT).toInt()
    if (all < HEAD + TAG || file.get().toInt() != HEAD) altered(name, "it has no head of an encrypted file")
    if (all - (count - 1) * SEGMENT < TAG) altered(name, "it was cut, the last of its $all bytes are no segment")
    val salt = ByteArray(SALT).also { file.get(it) }
    val prefix = ByteArray(PREFIX).also { file.get(it) }
    val own = SecretKeySpec(hmac(hmac(salt, key), name.toByteArray() + 1), "AES")
    val out = room(name, all - HEAD - TAG * count)
    val cipher = Cipher.getInstance(GCM)
    val sealed = ByteArray(minOf(SEGMENT, all))
    val opened = ByteArray(sealed.size)
    for (number in 0 until count) {
        val size = minOf(if (number == 0) SEGMENT - HEAD else SEGMENT, file.remaining())
        file.get(sealed, 0, size)
        val nonce = ByteBuffer.allocate(NONCE).put(prefix).putInt(number).put(if (number == count - 1) 1 else 0).array()
        try {
            cipher.init(Cipher.DECRYPT_MODE, own, GCMParameterSpec(8 * TAG, nonce))
            out.put(opened, 0, cipher.doFinal(sealed, 0, size, opened))
        } catch (error: GeneralSecurityException) {
            altered(name, "segment ${number + 1} of $count is another one, or the file was cut", error)
        }
    }
    out.flip()
    return out
}

/** Memory that no collector moves, in the order of bytes that LiteRT asks for. */
private fun room(name: String, size: Int): ByteBuffer = try {
    ByteBuffer.allocateDirect(size).order(ByteOrder.nativeOrder())
} catch (error: OutOfMemoryError) { // of an app's heap, where Android counts it
    fail(Reason.MEMORY, "there is no room for the $size bytes of $name; android:largeHeap=\"true\" in the app's manifest gives more", error)
}

private fun altered(name: String, why: String, cause: Throwable? = null): Nothing = fail(Reason.ALTERED, "$name is not what was exported: $why", cause)

private fun hmac(key: ByteArray, data: ByteArray): ByteArray = Mac.getInstance("HmacSHA256").run {
    init(SecretKeySpec(key, algorithm))
    doFinal(data)
}

internal const val GCM = "AES/GCM/NoPadding"
internal const val NONCE = 12 // bytes, as all below
internal const val TAG = 16
internal const val KEY = 32
private const val CIPHER = "AES256_GCM_HKDF_1MB" // Tink's name
private const val ID_BYTES = 8
private const val SALT = 32
private const val PREFIX = 7
private const val HEAD = 1 + SALT + PREFIX
private const val SEGMENT = 1 shl 20 // with its tag, the head counted to the first
