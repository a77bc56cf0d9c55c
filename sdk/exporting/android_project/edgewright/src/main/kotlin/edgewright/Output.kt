package edgewright

/** Numbers that a graph gave, row by row. */
internal class Output(val shape: LongArray, val data: FloatArray)
