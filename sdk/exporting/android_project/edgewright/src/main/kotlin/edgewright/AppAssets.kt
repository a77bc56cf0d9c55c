package edgewright

import android.content.Context
import android.content.res.AssetManager
import android.os.Build
import edgewright.EdgewrightException.Reason
import java.io.File
import java.io.FileInputStream
import java.io.FileNotFoundException
import java.io.IOException

/** A file in an app's assets. What is mapped has to be there as it is, which [packed] says where it is compressed. */
internal fun packed(assets: AssetManager, directory: String, name: String): Asset {
    val path = "$directory/$name"
    fun open() = try {
        assets.open(path)
    } catch (error: IOException) {
        fail(Reason.FILE, "the app has no asset $path", error)
    }
    fun map() = try {
        assets.openFd(path).use { Asset.map(FileInputStream(it.fileDescriptor), it.startOffset, it.length) }
    } catch (error: FileNotFoundException) {
        open().close()
        fail(Reason.FILE, "the asset $path is compressed; have androidResources { noCompress += \"${name.substringAfterLast('.')}\" } in the app's build", error)
    }
    return Asset(name, null, { map() }, { open() })
}

/** The assets as files, written anew where the app has changed. */
internal fun unpacked(context: Context, assets: String): File {
    val directory = File(context.noBackupFilesDir, "edgewright/$assets")
    val done = File(directory, "done")
    try {
        if (done.isFile && done.readText() == installed(context)) return directory
        directory.deleteRecursively()
        directory.mkdirs()
        for (name in context.assets.list(assets) ?: emptyArray())
            context.assets.open("$assets/$name").use { from -> File(directory, name).outputStream().use { from.copyTo(it) } }
        done.writeText(installed(context))
    } catch (error: IOException) {
        fail(Reason.FILE, "the assets $assets cannot be put into $directory: ${error.message}", error)
    }
    return directory
}

private fun installed(context: Context): String = "${context.packageManager.getPackageInfo(context.packageName, 0).lastUpdateTime}"

/** The [model], whose golden cases are replayed where this app, on this system, has not done so yet; closed where they are others. */
internal fun checkedOnce(context: Context, assets: String, model: Edgewright): Edgewright {
    val now = "${installed(context)} ${Build.FINGERPRINT}"
    val seen = context.getSharedPreferences("edgewright", Context.MODE_PRIVATE)
    if (seen.getString(assets, null) == now) return model
    try {
        model.check()
    } catch (error: EdgewrightException) {
        model.close()
        throw error
    }
    seen.edit().putString(assets, now).apply()
    return model
}
