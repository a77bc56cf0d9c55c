"""What OpenAI's interface answers: completions at once or as events, what was used, and errors."""

from __future__ import annotations

import json
import sys
import time
import uuid
from asyncio import TimeoutError as SilentError
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar

from edgewright.errors import EdgewrightError, EngineError, InputError, UsageError, one_line
from edgewright.serving.http_connection import Refused

if TYPE_CHECKING:
    from edgewright.generation.answer import Written
    from edgewright.serving.http_connection import Connection
    from edgewright.serving.writing import Writing

__all__ = ["Chat", "Completion", "refusal", "send", "send_refused", "stream", "whole"]


class Completion:
    """How the continuation of a text is put."""

    kind: ClassVar[str] = "text_completion"
    streamed: ClassVar[str] = "text_completion"
    prefix: ClassVar[str] = "cmpl"

    def __init__(self, model: str) -> None:
        self._head = {"id": f"{self.prefix}-{uuid.uuid4().hex}", "created": int(time.time()), "model": model}

    def whole(self, text: str, written: Written) -> dict[str, Any]:
        """The answer at once."""
        choice = {"index": 0, **self._said(text), "logprobs": None, "finish_reason": _finish(written)}
        return {**self._head, "object": self.kind, "choices": [choice], "usage": _usage(written)}

    def piece(self, text: str, written: Written | None = None, *, first: bool = False) -> dict[str, Any]:
        """A piece of it; the last one has no text, and says why it is."""
        reason = _finish(written) if written else None
        choice = {"index": 0, **self._adding(text, first=first), "logprobs": None, "finish_reason": reason}
        return {**self._head, "object": self.streamed, "choices": [choice]}

    def usage(self, written: Written) -> dict[str, Any]:
        """What was used, after the last piece."""
        return {**self._head, "object": self.streamed, "choices": [], "usage": _usage(written)}

    def _said(self, text: str) -> dict[str, Any]:
        return {"text": text}

    def _adding(self, text: str, *, first: bool) -> dict[str, Any]:
        del first
        return {"text": text}


class Chat(Completion):
    """How the assistant's turn is put."""

    kind = "chat.completion"
    streamed = "chat.completion.chunk"
    prefix = "chatcmpl"

    def _said(self, text: str) -> dict[str, Any]:
        return {"message": {"role": "assistant", "content": text, "refusal": None}}

    def _adding(self, text: str, *, first: bool) -> dict[str, Any]:
        if first:
            return {"delta": {"role": "assistant", "content": text}}
        return {"delta": {"content": text} if text else {}}


def _finish(written: Written) -> str:
    return "stop" if written.reason in ("end", "stop") else "length"


def _usage(written: Written) -> dict[str, Any]:
    new = len(written.tokens)
    return {
        "prompt_tokens": written.prompt_tokens,
        "completion_tokens": new,
        "total_tokens": written.prompt_tokens + new,
        "prompt_tokens_details": {"cached_tokens": written.reused},
    }


async def whole(connection: Connection, writing: Writing, form: Completion) -> None:
    """Send an answer when it is whole. Raises what went wrong."""
    text = "".join([piece async for piece in writing.pieces()])
    await send(connection, form.whole(text, writing.written))


async def stream(connection: Connection, writing: Writing, form: Completion, *, counts: bool) -> None:
    """Send an answer as it comes, and with `counts` what was used.

    It has begun by then: what goes wrong is an event of its own, and the last one.
    """
    usage: dict[str, Any] = {"usage": None} if counts else {}
    await connection.begin_events()
    try:
        await connection.event(_bytes({**form.piece("", first=True), **usage}))
        async for piece in writing.pieces():
            await connection.event(_bytes({**form.piece(piece), **usage}))
        await connection.event(_bytes({**form.piece("", writing.written), **usage}))
        if counts:
            await connection.event(_bytes(form.usage(writing.written)))
        await connection.event(b"[DONE]")
    except (OSError, SilentError):
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, the client shall not take the answer for whole
        await connection.event(_bytes(_error(refusal(error))))
    await connection.end_events()


async def send(connection: Connection, tree: dict[str, Any]) -> None:
    """Send an answer."""
    await connection.answer(HTTPStatus.OK, _bytes(tree))


async def send_refused(connection: Connection, refused: Refused) -> None:
    """Send an error."""
    await connection.answer(refused.status, _bytes(_error(refused)), refused.headers)


def refusal(error: Exception) -> Refused:
    """An error as the interface says it; one of the server's own goes to whoever runs it, too."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, UsageError | InputError) and not isinstance(error, EngineError):
        code = "invalid_value" if isinstance(error, UsageError) else error.code
        return Refused(HTTPStatus.BAD_REQUEST, str(error), code=code)
    words = str(error) if isinstance(error, EdgewrightError) else f"{type(error).__name__}: {error}"
    print(f"edgewright: {one_line(words)}", file=sys.stderr, flush=True)
    return Refused(HTTPStatus.INTERNAL_SERVER_ERROR, one_line(words), code="internal_error")


def _error(refused: Refused) -> dict[str, Any]:
    """OpenAI's error object."""
    kind = "invalid_request_error"
    if refused.status == HTTPStatus.TOO_MANY_REQUESTS:
        kind = "rate_limit_error"
    elif refused.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        kind = "server_error"
    return {"error": {"message": refused.message, "type": kind, "param": refused.param, "code": refused.code}}


def _bytes(tree: dict[str, Any]) -> bytes:
    return json.dumps(tree, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
