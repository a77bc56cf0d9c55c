package edgewright

import java.io.File
import java.io.IOException

/**
 * How many big cores a phone has: those above its slowest ones, at most [MOST], by their highest frequencies. Where all are
 * alike, or nothing is said, half of them. Android itself puts busy threads on big cores: as many threads wait for no small one.
 */
internal fun bigCores(directory: File = File("/sys/devices/system/cpu")): Int {
    val speeds = (0 until MOST_CORES).map { File(directory, "cpu$it/cpufreq/cpuinfo_max_freq") }.mapNotNull(::number)
    val slowest = speeds.minOrNull() ?: 0
    val big = speeds.count { it > slowest }
    return (if (big > 0) big else Runtime.getRuntime().availableProcessors() / 2).coerceIn(1, MOST)
}

private fun number(file: File): Long? = try {
    file.readText().trim().toLongOrNull()
} catch (error: IOException) {
    null
}

private const val MOST = 4 // small models gain nothing from more
private const val MOST_CORES = 64
