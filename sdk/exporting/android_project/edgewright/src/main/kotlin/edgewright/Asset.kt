package edgewright

import edgewright.EdgewrightException.Reason
import java.io.ByteArrayOutputStream
import java.io.File
import java.io.FileInputStream
import java.io.IOException
import java.io.InputStream
import java.nio.ByteBuffer
import java.nio.channels.FileChannel

/** A file of a model, mapped where it lies: in a directory, or inside of the app's archive, where it has no path. */
internal class Asset(val name: String, val path: String?, private val mapped: () -> ByteBuffer, private val opened: () -> InputStream) {
    /** The bytes, as the operating system pages them in: none of them is on the heap. */
    fun map(): ByteBuffer = read { mapped() }

    /** The whole of a small file. */
    fun text(): String = read {
        opened().use { stream ->
            val bytes = ByteArrayOutputStream()
            val block = ByteArray(1 shl 16)
            while (bytes.size() <= MOST_TEXT) {
                val n = stream.read(block)
                if (n < 0) return String(bytes.toByteArray(), Charsets.UTF_8)
                bytes.write(block, 0, n)
            }
            fail(Reason.ALTERED, "$name has more than $MOST_TEXT bytes")
        }
    }

    private inline fun <T> read(step: () -> T): T = try {
        step()
    } catch (error: IOException) {
        fail(Reason.FILE, "$name cannot be read: ${error.message}", error)
    } catch (error: OutOfMemoryError) {
        fail(Reason.MEMORY, "there is no room for $name", error)
    }

    companion object {
        private const val MOST_TEXT = 16 shl 20 // settings have some kB, golden cases with their outputs a few MB

        fun of(directory: File, name: String): Asset {
            val file = File(directory, name)
            return Asset(name, file.path, { FileInputStream(file).use { map(it, 0, file.length()) } }) { FileInputStream(file) }
        }

        fun map(stream: FileInputStream, start: Long, size: Long): ByteBuffer = stream.channel.map(FileChannel.MapMode.READ_ONLY, start, size)
    }
}
