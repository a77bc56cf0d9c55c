package edgewright

/** What edgewright throws, and nothing else: [reason] for programs, the message for people. */
class EdgewrightException(val reason: Reason, message: String, cause: Throwable? = null) : RuntimeException(message, cause) {
    enum class Reason {
        /** A file is missing, compressed, or cannot be read. */
        FILE,

        /** A file is not what was exported, or of another version. */
        ALTERED,
        MEMORY,

        /** A text has more than a megabyte. */
        TOO_LONG,
        ARGUMENT,
        ENGINE,

        /** The model has another task. */
        TASK,

        /** The limit leaves no room for the text. */
        NO_ROOM,

        /** The model is writing an answer already. */
        BUSY,
        CLOSED,

        /** A golden case has another answer on this device. */
        GOLDEN,

        /** A model is encrypted, and the key is missing or another one. */
        KEY,
    }
}

internal fun fail(reason: EdgewrightException.Reason, message: String, cause: Throwable? = null): Nothing =
    throw EdgewrightException(reason, message, cause)
