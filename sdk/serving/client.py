"""Asks a model that `edgewright serve` serves on this machine, with the standard library alone.

    from edgewright.serving.client import Client

    with Client("/run/user/1000/edgewright/socket") as ask:
        ask("a charming and often affecting journey")    # [{"label": "positive", "score": 0.99}]

A request is a line of JSON, `{"texts": [...]}`, with `options` beside it or without, or `{"health": true}`, and so is
its answer: `{"rows": [...]}`, `{"health": {...}}` or `{"error": {...}}`.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
from typing import TYPE_CHECKING, Any

from edgewright.errors import ConnectionLost, DeviceError, from_record

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["Client", "ask"]

_MOST_BYTES = 2**28
"""A choice: embeddings of thousands of texts as JSON, and no endless line in the memory of a client."""
_AGAIN_S = 0.05
"""A choice: a place in the queue comes free with each client that goes."""
_ANSWERS = {"rows": list, "health": dict}
_STRANGER = "is it edgewright that serves?"
_HINT = "start it: edgewright serve BUNDLE --socket"


class Client:
    """A connection to a served model; it may be used again and again, by one thread at a time.

    Args:
        path: the server's socket.
        timeout_s: the longest wait for an answer.

    Raises:
        DeviceError: nothing serves there.
    """

    def __init__(self, path: str | Path, *, timeout_s: float = 60.0) -> None:
        self.path, self._socket = str(path), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout_s)
        try:
            self._connect(timeout_s)
        except BlockingIOError as error:
            self._socket.close()
            what = f"the queue of {self.path} is full, and stayed so for {timeout_s:g} s"
            raise DeviceError(what, hint="try again later, or serve with more --max-connections") from error
        except OSError as error:
            self._socket.close()
            what = f"no model is served at {self.path}: {error.strerror or error}"
            raise DeviceError(what, hint=f"{_HINT} {self.path}") from error
        self._lines = self._socket.makefile("rb")

    def _connect(self, timeout_s: float) -> None:
        """Connect, or wait for a place in the queue: with a time limit the kernel says EAGAIN where it is full."""
        until_s = time.monotonic() + timeout_s
        while True:
            try:
                self._socket.connect(self.path)
            except BlockingIOError:
                if time.monotonic() > until_s:
                    raise
                time.sleep(_AGAIN_S)
            else:
                return

    def __repr__(self) -> str:
        return f"<Client {self.path}>"

    def __call__(self, items: Any, **options: Any) -> Any:
        """One item, a text or {"text", "text_pair"} -> its answer; a list of items -> a list of answers.

        Answers are those that `edgewright run` prints, `options` those of the task, such as `top_k`.

        Raises:
            EdgewrightError: the one that the server gave for the request, or for one of its texts.
        """
        asked = items if isinstance(items, list) else [items]
        rows = self.rows(asked, **options)
        fits = all(isinstance(row, dict) and row.keys() & {"answer", "error"} for row in rows)
        if not fits or len(rows) != len(asked):
            what = (
                f"{self.path} gives {len(rows)} rows for {len(asked)} texts" if fits else f"{self.path} gives no answer"
            )
            raise DeviceError(what, hint=_STRANGER)
        failed = next((row["error"] for row in rows if "error" in row), None)
        if failed:
            raise from_record(failed, DeviceError)
        answers = [row["answer"] for row in rows]
        return answers if isinstance(items, list) else answers[0]

    def rows(self, items: Sequence[Any], **options: Any) -> list[dict[str, Any]]:
        """For each item its text as it was understood, and its `answer`, or the record of an `error`."""
        request = {"texts": list(items), **({"options": options} if options else {})}
        rows: list[dict[str, Any]] = self._ask(request, "rows")
        return rows

    def health(self) -> dict[str, Any]:
        """What is served, after a golden case went through its engine.

        Raises:
            GateFailed: the engine gives other outputs than it should.
            ConnectionLost: there was no answer in time.
        """
        found: dict[str, Any] = self._ask({"health": True}, "health")
        return found

    def _ask(self, request: dict[str, Any], wanted: str) -> Any:
        try:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it said why before it ended
                self._socket.sendall(json.dumps(request).encode() + b"\n")
            line = self._lines.readline(_MOST_BYTES + 1)
        except OSError as error:
            raise ConnectionLost(f"{self.path} gave no answer: {error}", hint="try again") from error
        if len(line) > _MOST_BYTES:
            self.close()  # the rest of the answer would be taken for the next one
            what = f"the answer of {self.path} has more than {_MOST_BYTES} bytes, at most so many are read"
            raise DeviceError(what, hint="split the request, and connect again")
        try:
            tree = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ConnectionLost(f"{self.path} ended in the middle of an answer", hint="try again") from error
        if not isinstance(tree, dict) or not ("error" in tree or isinstance(tree.get(wanted), _ANSWERS[wanted])):
            raise DeviceError(
                f"{self.path} answers neither {wanted} nor an error", hint="is it edgewright that serves?"
            )
        if "error" in tree:
            raise from_record(tree["error"], DeviceError)
        return tree[wanted]

    def close(self) -> None:
        """End the connection."""
        self._lines.close()
        self._socket.close()

    def __enter__(self) -> Client:  # noqa: PYI034 - typing has Self from Python 3.11 on
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def ask(path: str | Path, items: Any, *, timeout_s: float = 60.0, **options: Any) -> Any:
    """Ask the model that is served at a socket once, as a call of `Client` does; raises what that raises."""
    with Client(path, timeout_s=timeout_s) as client:
        return client(items, **options)
