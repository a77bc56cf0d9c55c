package edgewright

import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.IntBuffer

/** A trie over bytes: how many nodes, where each one's children begin, its value or -1, and its byte; node 0 is the root. */
internal class Trie(file: TokenizerFile, section: Section) {
    private val count: Int
    private val first: IntBuffer
    private val value: IntBuffer
    private val label: ByteBuffer

    init {
        val table = file[section].asIntBuffer()
        count = if (table.limit() == 0) 0 else table.get(0)
        first = from(table, 1)
        value = from(table, 2 + count)
        val bytes = file[section].duplicate()
        bytes.position(if (count == 0) 0 else 8 + 8 * count)
        label = bytes.slice().order(ByteOrder.LITTLE_ENDIAN)
    }

    val empty get() = count == 0

    /** -1 of a node that ends no word. */
    fun value(node: Int): Int = value.get(node)

    /** The node behind a byte, 0 where there is none. */
    fun child(parent: Int, byte: Byte): Int {
        val wanted = byte.toInt() and 255
        var low = first.get(parent)
        var high = first.get(parent + 1)
        while (high - low > 8) {
            val middle = low + high ushr 1
            if (label.get(middle).toInt() and 255 <= wanted) low = middle else high = middle
        }
        while (low < high) {
            if (label.get(low) == byte) return low
            low++
        }
        return 0
    }

    /** The node behind a character, 0 where there is none. */
    fun step(node: Int, c: Int, bytes: ByteArray): Int {
        var here = node
        for (k in 0 until Utf8.put(c, bytes, 0)) {
            here = child(here, bytes[k])
            if (here == 0) return 0
        }
        return here
    }

    /** The value of a word, -1 of one that is none. */
    fun exactly(bytes: ByteArray, start: Int, end: Int): Int {
        if (empty || start == end) return -1
        var here = 0
        for (k in start until end) {
            here = child(here, bytes[k])
            if (here == 0) return -1
        }
        return value(here)
    }

    private fun from(table: IntBuffer, at: Int): IntBuffer = table.duplicate().also { it.position(minOf(at, it.limit())) }.slice()
}
