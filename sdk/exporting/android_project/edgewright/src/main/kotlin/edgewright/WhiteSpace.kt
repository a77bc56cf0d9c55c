package edgewright

/** As Python's str.strip has it. */
internal fun isSpace(c: Int): Boolean = c in 9..13 || c in 28..32 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
    c in 0x2000..0x200A || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000
