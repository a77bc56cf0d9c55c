package edgewright

import android.content.Context
import android.security.keystore.KeyGenParameterSpec
import android.security.keystore.KeyProperties
import java.io.File
import java.security.KeyStore
import javax.crypto.KeyGenerator
import javax.crypto.SecretKey

/**
 * Opens the model in an app's assets whose weights were encrypted by `edgewright export android --encrypt`, into memory and never into
 * a file. [key] gives the 32 bytes of the key that it is asked for by name, from a server of yours, and is asked off the main thread
 * where this call is. From then on the key lies on this device, wrapped by one that the Android Keystore keeps; it is asked for
 * again where that was lost or the app has another model. What [key] throws comes out as it is.
 */
@JvmOverloads
fun Edgewright.Companion.openEncrypted(context: Context, assets: String = "edgewright", threads: Int = 0, key: (String) -> ByteArray): Edgewright {
    val kept = KeptKey(File(context.noBackupFilesDir, "edgewright-keys/$assets"), keystore())
    return checkedOnce(context, assets, Encrypted { packed(context.assets, assets, it) }.open(kept, threads, key))
}

/** Opens such assets as files, by a key that the caller keeps. No golden case is replayed. */
@JvmOverloads
fun Edgewright.Companion.openEncrypted(directory: File, key: ByteArray, threads: Int = 0): Edgewright =
    Encrypted { Asset.of(directory, it) }.open(key, threads)

/** A key of this app that never leaves the Keystore. */
private fun keystore() = Wrapping(null, { KeyStore.getInstance(ANDROID).apply { load(null) } }) {
    val uses = KeyProperties.PURPOSE_ENCRYPT or KeyProperties.PURPOSE_DECRYPT
    val asked = KeyGenParameterSpec.Builder(Wrapping.ALIAS, uses).setKeySize(8 * KEY).setBlockModes(KeyProperties.BLOCK_MODE_GCM)
    KeyGenerator.getInstance(KeyProperties.KEY_ALGORITHM_AES, ANDROID).run {
        init(asked.setEncryptionPaddings(KeyProperties.ENCRYPTION_PADDING_NONE).build())
        generateKey()
    }
}

private const val ANDROID = "AndroidKeyStore"
