package edgewright

/** What the parameters' section says. */
internal class Parameters(file: TokenizerFile) {
    private val all = file.ints(Section.PARAMETERS)
    val kind = all[0]
    val unknown = all[1]
    val mostCharacters = all[2]
    val ids = all[3]
    val bytewise = all[4] != 0
    val ignoreMerges = all[5] != 0
    val fuses = all[6] != 0
    val fallsBack = all[7] != 0

    /** Whether spaces at the ends of tokens count among their offsets: 0 they do, else they do not; 2 but for one in front. */
    val trims = all[8]
    val marksPieces = all[10] != 0
}

/** The ids of single bytes, the characters that stand for them, and for these their bytes. */
internal class Bytes(file: TokenizerFile) {
    private val all = file.ints(Section.BYTE_IDS)

    fun id(byte: Byte): Int = all[byte.toInt() and 255]

    fun character(byte: Byte): Int = all[256 + (byte.toInt() and 255)]

    /** -1 of a character that stands for none. */
    fun byte(c: Int): Int = if (c < all.size - 512) all[512 + c] else -1

    /** Whether each of some bytes has an id. */
    fun spell(bytes: ByteArray, start: Int, end: Int): Boolean {
        for (k in start until end) if (id(bytes[k]) < 0) return false
        return true
    }
}

/** A piece of the text becomes tokens. */
internal fun interface Model {
    fun run(s: Scratch, start: Int, end: Int, word: Int, out: Tokens)
}

internal fun model(file: TokenizerFile, parameters: Parameters, bytes: Bytes, vocabulary: Trie): Model = when (parameters.kind) {
    0 -> WordPiece(file, parameters, vocabulary)
    1 -> Bpe(file, parameters, bytes, vocabulary)
    2 -> Unigram(file, parameters, bytes, vocabulary)
    else -> Model { s, start, end, word, out ->
        s.spell(start, end)
        val id = vocabulary.exactly(s.bytes, 0, s.size)
        out.add(if (id < 0) parameters.unknown else id, s.text, start, end - 1, word)
    }
}
