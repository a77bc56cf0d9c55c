package edgewright

import edgewright.EdgewrightException.Reason
import java.io.File
import java.io.FileInputStream
import java.io.IOException
import java.nio.ByteBuffer
import java.nio.channels.FileChannel

/** A file of a model, mapped where it lies: in a directory, or inside of the app's archive, where it has no path. */
internal class Asset(val name: String, val path: String?, private val opened: () -> ByteBuffer) {
    /** The bytes, as the operating system pages them in: none of them is on the heap. */
    fun map(): ByteBuffer = try {
        opened()
    } catch (error: IOException) {
        fail(Reason.FILE, "$name cannot be read: ${error.message}", error)
    } catch (error: OutOfMemoryError) {
        fail(Reason.MEMORY, "there is no room to map $name", error)
    }

    fun text(): String {
        val bytes = map()
        if (bytes.remaining() > MOST_TEXT) fail(Reason.ALTERED, "$name has ${bytes.remaining()} bytes, more than $MOST_TEXT")
        return String(ByteArray(bytes.remaining()).also { bytes.get(it) }, Charsets.UTF_8)
    }

    companion object {
        private const val MOST_TEXT = 16 shl 20 // settings have some kB, golden cases with their outputs a few MB

        fun of(directory: File, name: String): Asset {
            val file = File(directory, name)
            return Asset(name, file.path) { mapped(FileInputStream(file), 0, file.length()) }
        }

        fun mapped(stream: FileInputStream, start: Long, size: Long): ByteBuffer =
            stream.use { it.channel.map(FileChannel.MapMode.READ_ONLY, start, size) }
    }
}
