package edgewright

import android.content.Context
import android.content.res.AssetManager
import android.os.Build
import edgewright.EdgewrightException.Reason
import java.io.FileInputStream
import java.io.FileNotFoundException
import java.io.IOException

/** A file in an app's assets, which has to be there as it is: what is compressed cannot be mapped. */
internal fun packed(assets: AssetManager, directory: String, name: String): Asset = Asset(name, null) {
    try {
        assets.openFd("$directory/$name").use { Asset.mapped(FileInputStream(it.fileDescriptor), it.startOffset, it.length) }
    } catch (error: FileNotFoundException) {
        if (!has(assets, "$directory/$name")) fail(Reason.FILE, "the app has no asset $directory/$name", error)
        fail(Reason.FILE, "the asset $directory/$name is compressed: add androidResources { noCompress += \"${name.substringAfterLast('.')}\" }", error)
    }
}

private fun has(assets: AssetManager, path: String): Boolean = try {
    assets.open(path).close()
    true
} catch (error: IOException) {
    false
}

/** Replays the golden cases where this app, on this system, has not done so yet. */
internal fun checkOnce(context: Context, assets: String, model: Edgewright) {
    val now = "${context.packageManager.getPackageInfo(context.packageName, 0).lastUpdateTime} ${Build.FINGERPRINT}"
    val seen = context.getSharedPreferences("edgewright", Context.MODE_PRIVATE)
    if (seen.getString(assets, null) == now) return
    model.check()
    seen.edit().putString(assets, now).apply()
}
