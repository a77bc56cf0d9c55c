package edgewright

/** Numbers, as many as come. */
internal class Ints {
    var a = IntArray(64)
    var n = 0

    fun add(value: Int) {
        if (n == a.size) a = a.copyOf(2 * n)
        a[n++] = value
    }

    fun add(first: Int, second: Int, third: Int) {
        if (n + 3 > a.size) a = a.copyOf(2 * n)
        a[n] = first
        a[n + 1] = second
        a[n + 2] = third
        n += 3
    }
}

/** Characters, and the place of each in the given text; [NOWHERE] of one that comes before it. */
internal class Run {
    var c = IntArray(256)
    var from = IntArray(256)
    var n = 0

    fun put(code: Int, place: Int) {
        if (n == c.size) {
            c = c.copyOf(2 * n)
            from = from.copyOf(2 * n)
        }
        c[n] = code
        from[n++] = place
    }

    fun put(other: Run, start: Int, end: Int) {
        for (k in start until end) put(other.c[k], other.from[k])
    }

    fun below(limit: Int): Boolean {
        for (k in 0 until n) if (c[k] >= limit) return false
        return true
    }
}

/** The tokens of a text. */
internal class Tokens {
    var id = IntArray(64)
    var start = IntArray(64)
    var end = IntArray(64)
    var word = IntArray(64)

    /** Of an added token, the spaces that it took along: before it, and behind it at bit 8. */
    var spaces = IntArray(64)
    var n = 0

    fun add(one: Int, text: Run, first: Int, last: Int, number: Int) {
        if (n == id.size) {
            id = id.copyOf(2 * n)
            start = start.copyOf(2 * n)
            end = end.copyOf(2 * n)
            word = word.copyOf(2 * n)
            spaces = spaces.copyOf(2 * n)
        }
        val begin = text.from[first]
        id[n] = one
        start[n] = if (begin == NOWHERE) 0 else begin
        end[n] = text.from[last] + 1 // of nowhere 0
        word[n] = number
        spaces[n++] = 0
    }

    /** Turns round what stands from a place on. */
    fun reverse(from: Int) {
        var a = from
        var b = n - 1
        while (a < b) {
            for (all in arrayOf(id, start, end)) all[a] = all[b].also { all[b] = all[a] }
            a++
            b--
        }
    }
}

/** What a text needs on its way to tokens. A thread has one at a time, and it is used again. */
internal class Scratch {
    val raw = Run()
    var now = Run()
    var next = Run()
    var text = Run()
    private var spare = Run()

    /** Start, end, and the id of an added token or -1, in threes; of marks, whether it matched. */
    var pieces = Ints()
    var more = Ints()
    val marks = Ints()
    val branches = Ints()
    val sides = arrayOf(Tokens(), Tokens())
    var bytes = ByteArray(256)

    /** For each byte the number of its character in [text]. */
    var places = IntArray(256)
    var size = 0

    fun turn() {
        now = next.also { next = now }
    }

    /** What `into` is given becomes the text. */
    fun rewrite(into: (Run) -> Unit) {
        spare.n = 0
        into(spare)
        text = spare.also { spare = text }
    }

    /** The bytes of characters of the text. */
    fun spell(start: Int, end: Int) {
        val room = 4 * (end - start)
        if (room > bytes.size) {
            bytes = ByteArray(2 * room)
            places = IntArray(2 * room)
        }
        size = 0
        for (k in start until end) {
            val next = Utf8.put(text.c[k], bytes, size)
            while (size < next) places[size++] = k
        }
    }

    /** Whether it is small enough to be kept: a long text's megabytes are given back. */
    fun small(): Boolean = text.c.size <= KEPT && bytes.size <= 4 * KEPT && raw.c.size <= KEPT
}

internal const val NOWHERE = -1
private const val KEPT = 1 shl 16
