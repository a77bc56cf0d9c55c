package edgewright

import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.withContext

/** Any call without blocking the caller's thread: `model.await { classify("...") }`. */
suspend fun <T> Edgewright.await(call: Edgewright.() -> T): T = withContext(Dispatchers.Default) { call() }
