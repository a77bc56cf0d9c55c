package edgewright

/** A regular expression as the file has it: lines of three numbers. It backtracks, with a stack of its own. */
internal class Pattern(private val characters: Characters, private val program: IntArray) {

    /** Where a match that begins at a place ends, -1 where none does. */
    fun match(s: Scratch, c: IntArray, at: Int, end: Int): Int {
        s.branches.n = 0
        return match(s.branches, 0, c, at, end)
    }

    private fun match(stack: Ints, first: Int, c: IntArray, begin: Int, end: Int): Int {
        val base = stack.n
        var line = first
        var at = begin
        while (true) {
            val one = program[3 * line + 1]
            var ok = true
            when (program[3 * line]) {
                CHAR, CLASS -> {
                    ok = at < end && fits(line, c[at])
                    at++
                    line++
                }
                REPEAT -> {
                    val least = one and Int.MAX_VALUE
                    val most = program[3 * line + 2]
                    val start = at
                    while (at < end && at - start < most && fits(line + 1, c[at])) at++
                    ok = at - start >= least
                    line += 2
                    if (ok && at - start > least && one >= 0) stack.add(line, at, start + least)
                }
                SPLIT -> {
                    stack.add(line + program[3 * line + 2], at, -1)
                    line += one
                }
                JUMP -> line += one
                LOOK, LOOK_NOT -> {
                    ok = (match(stack, line + 1, c, at, end) >= 0) == (program[3 * line] == LOOK)
                    line += one
                }
                else -> {
                    stack.n = base
                    return at
                }
            }
            if (ok) continue
            if (stack.n == base) return -1
            val a = stack.a
            val top = stack.n - 3
            line = a[top]
            if (a[top + 2] < 0) {
                at = a[top + 1]
                stack.n = top
            } else {
                at = --a[top + 1]
                if (at == a[top + 2]) stack.n = top
            }
        }
    }

    private fun fits(line: Int, c: Int): Boolean =
        if (program[3 * line] == CHAR) c == program[3 * line + 1] else characters.has(c, program[3 * line + 1])
}

private const val CHAR = 1
private const val CLASS = 2
private const val SPLIT = 3
private const val JUMP = 4
private const val LOOK = 5
private const val LOOK_NOT = 6
private const val REPEAT = 8
