package edgewright

/** Merges of neighbours by rank, the leftmost of equals first (Sennrich and others 2016, arXiv 1508.07909). */
internal class Bpe(file: TokenizerFile, private val parameters: Parameters, private val bytes: Bytes, private val vocabulary: Trie) : Model {
    private val merges = file[Section.MERGES].asIntBuffer()
    private val mask = merges.get(0)

    override fun run(s: Scratch, start: Int, end: Int, word: Int, out: Tokens) {
        s.spell(start, end)
        val whole = if (parameters.ignoreMerges) whole(s) else -1
        if (whole >= 0) return out.add(whole, s.text, start, end - 1, word)
        val all = Symbols(s.size)
        gather(s, all)
        merge(all)
        var i = 0
        while (i in 0 until all.n) {
            out.add(all.id[i], s.text, s.places[all.start[i]], s.places[all.start[i] + all.size[i] - 1], word)
            i = all.after[i]
        }
    }

    private fun whole(s: Scratch): Int {
        if (!parameters.bytewise) return vocabulary.exactly(s.bytes, 0, s.size)
        val one = ByteArray(4)
        var here = 0
        for (k in 0 until s.size) { // the vocabulary spells bytes as characters
            here = vocabulary.step(here, bytes.character(s.bytes[k]), one)
            if (here == 0) return -1
        }
        return vocabulary.value(here)
    }

    /** The characters of a piece, or its bytes, as symbols; what is unknown is one, or several that are one. */
    private fun gather(s: Scratch, all: Symbols) {
        var unknown = 0
        var at = 0
        var length = 0
        fun settle() {
            if (unknown > 0) all.add(parameters.unknown, length, unknown)
            length += unknown
            unknown = 0
        }
        while (at < s.size) {
            var next = at + 1
            while (!parameters.bytewise && next < s.size && s.bytes[next].toInt() and 0xC0 == 0x80) next++
            val id = if (parameters.bytewise) bytes.id(s.bytes[at]) else vocabulary.exactly(s.bytes, at, next)
            when {
                id >= 0 -> {
                    settle()
                    all.add(id, length, next - at)
                    length += next - at
                }
                !parameters.bytewise && parameters.fallsBack && bytes.spell(s.bytes, at, next) ->
                    for (k in at until next) all.add(bytes.id(s.bytes[k]), length++, 1)
                parameters.unknown >= 0 -> {
                    if (!parameters.fuses) settle()
                    unknown += next - at
                }
            }
            at = next
        }
        settle()
    }

    private fun merge(all: Symbols) {
        val queue = Merges()
        for (i in 0 until all.n - 1) queue(queue, all, i, i + 1)
        while (queue.n > 0) {
            val at = queue.at
            val made = queue.id
            queue.pop()
            val right = all.after[at]
            if (all.size[at] == 0 || right >= all.n) continue
            val slot = slot(all.id[at], all.id[right])
            if (slot < 0 || merges.get(slot + 3) != made) continue
            all.id[at] = made
            all.size[at] += all.size[right]
            all.size[right] = 0
            all.after[at] = all.after[right]
            if (all.after[at] < all.n) {
                all.before[all.after[at]] = at
                queue(queue, all, at, all.after[at])
            }
            if (all.before[at] >= 0) queue(queue, all, all.before[at], at)
        }
    }

    private fun queue(queue: Merges, all: Symbols, left: Int, right: Int) {
        val slot = slot(all.id[left], all.id[right])
        if (slot >= 0) queue.push(merges.get(slot + 2), left, merges.get(slot + 3))
    }

    /** Where the merge of two tokens stands in the file's table of hashes, -1 where there is none. */
    private fun slot(a: Int, b: Int): Int {
        val mixed = a * -0x61C8864F xor b * -0x7A143595 // 0x9E3779B1 and 0x85EBCA6B
        var h = (mixed xor (mixed ushr 15)) and mask
        while (true) {
            val at = 1 + 4 * h
            val first = merges.get(at)
            if (first == -1) return -1
            if (first == a && merges.get(at + 1) == b) return at
            h = h + 1 and mask
        }
    }
}

/** Symbols of a piece as a list linked both ways: [start] and [size] are bytes. */
private class Symbols(most: Int) {
    val id = IntArray(most)
    val start = IntArray(most)
    val size = IntArray(most)
    val before = IntArray(most)
    val after = IntArray(most)
    var n = 0

    fun add(one: Int, begin: Int, bytes: Int) {
        id[n] = one
        start[n] = begin
        size[n] = bytes
        before[n] = n - 1
        after[n] = ++n
    }
}

/** A heap of merges, the lowest rank on top, of equals the leftmost. */
private class Merges {
    private var key = LongArray(16)
    private var ids = IntArray(16)
    var n = 0

    val at get() = key[0].toInt()
    val id get() = ids[0]

    fun push(rank: Int, at: Int, one: Int) {
        if (n == ids.size) {
            key = key.copyOf(2 * n)
            ids = ids.copyOf(2 * n)
        }
        val mine = rank.toLong() shl 32 or at.toLong()
        var i = n++
        while (i > 0 && mine < key[(i - 1) / 2]) {
            move((i - 1) / 2, i)
            i = (i - 1) / 2
        }
        key[i] = mine
        ids[i] = one
    }

    fun pop() {
        n--
        val last = key[n]
        val one = ids[n]
        var i = 0
        while (true) {
            var k = 2 * i + 1
            if (k >= n) break
            if (k + 1 < n && key[k + 1] < key[k]) k++
            if (key[k] >= last) break
            move(k, i)
            i = k
        }
        key[i] = last
        ids[i] = one
    }

    private fun move(from: Int, to: Int) {
        key[to] = key[from]
        ids[to] = ids[from]
    }
}
