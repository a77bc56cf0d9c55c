package edgewright

import kotlinx.coroutines.Dispatchers
//region text-generation, translation
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.channels.trySendBlocking
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.buffer
import kotlinx.coroutines.flow.channelFlow
import kotlinx.coroutines.flow.flowOn
//endregion
import kotlinx.coroutines.withContext

/** Any call without blocking the caller's thread: `model.await { classify("...") }`. */
suspend fun <T> Edgewright.await(call: Edgewright.() -> T): T = withContext(Dispatchers.Default) { call() }

//region text-generation
/** An answer to a conversation, piece by piece; who stops collecting ends it. */
fun Edgewright.flow(messages: List<Message>, how: Generation = Generation()): Flow<String> = pieces { told -> write(messages, how, told) }

/** What is written on from a prompt, piece by piece. */
fun Edgewright.flow(prompt: String, how: Generation = Generation()): Flow<String> = pieces { told -> write(prompt, how, told) }
//endregion

//region translation
/** The translation of each sentence of a text; who stops collecting ends it. */
fun Edgewright.translations(text: String, how: Search = Search()): Flow<String> = pieces { told -> translate(text, how, told) }
//endregion

//region text-generation, translation
private fun pieces(write: ((String) -> Boolean) -> Unit): Flow<String> =
    channelFlow { write { piece -> trySendBlocking(piece).isSuccess } }.buffer(Channel.UNLIMITED).flowOn(Dispatchers.Default)
//endregion
