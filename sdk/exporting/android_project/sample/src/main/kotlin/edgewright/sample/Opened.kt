package edgewright.sample

import android.content.Context
import edgewright.Edgewright
//region encrypted
import edgewright.EdgewrightException
import edgewright.openEncrypted
import java.io.File
//endregion

/** The model of this app's assets. */
internal fun opened(context: Context): Edgewright {
    //region encrypted
    // An app of yours asks its server. Here: adb push KEYFILE /sdcard/Android/data/edgewright.sample/files/NAME.key, which the first start reads
    val place = context.getExternalFilesDir(null)
    if (place != null) return Edgewright.openEncrypted(context) { name ->
        val file = File(place, "$name.key")
        if (!file.isFile) throw EdgewrightException(EdgewrightException.Reason.KEY, "there is no $file")
        file.readBytes()
    }
    //endregion
    return Edgewright.open(context)
}
