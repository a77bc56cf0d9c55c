"""Serves a bundle by OpenAI's HTTP interface, so that programs written for it find a model on this machine.

A decoder answers chat and plain completions, a feature-extraction model embeddings.
"""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from edgewright import registry
from edgewright.bundle.bundle import Bundle
from edgewright.errors import UsageError, quoted
from edgewright.generation.answer import Options
from edgewright.serving.http_connection import Refused
from edgewright.serving.http_server import HttpBounds, HttpServer, loopback
from edgewright.serving.model import open_model
from edgewright.serving.openai_answers import Chat, Completion, send, stream, whole
from edgewright.serving.openai_requests import ChatRequest, CompletionRequest, EmbeddingRequest, decoded
from edgewright.serving.writing import Writer, Writing, open_generator
from edgewright.system.progress import silent

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from edgewright.bundle.manifest import Artifact
    from edgewright.generation.generator import Generator
    from edgewright.inference.pipeline import Pipeline
    from edgewright.serving.http_connection import Connection, Request
    from edgewright.serving.http_server import Route
    from edgewright.serving.openai_requests import GenerationRequest

__all__ = ["DecoderServer", "EncoderServer", "Served", "serve_http"]

_BATCH_SIZE = 4
"""Answers at once: llama.cpp's own choice; with four of them most of what a batch saves is saved (docs/generation.md),
and each has a cache of its own."""


@dataclass(frozen=True)
class Served:
    """What is served where.

    Attributes:
        url: the base that clients are given.
        local: whether it is this machine's alone.
        name: the model's in requests.
        artifact: what is opened.
        batch_size: how many requests are answered at once.
    """

    url: str
    local: bool
    name: str
    artifact: Artifact | None
    batch_size: int = 1


def serve_http(
    bundle: Bundle | str | Path,
    sock: socket.socket,
    *,
    name: str = "",
    options: Mapping[str, Any] | None = None,
    bounds: HttpBounds | None = None,
    batch_size: int | None = None,
    ready: Callable[[Served], None] = silent,
) -> None:
    """Serve a bundle at a listening socket until SIGTERM or SIGINT.

    Args:
        bundle: a decoder's or a feature-extraction bundle or its directory, or a link to one.
        sock: see `edgewright.serving.http_server.bound`.
        name: the model's in requests; by default that of the bundle's directory.
        options: those of `edgewright.load`.
        bounds: what clients may take.
        batch_size: how many answers of a decoder are written at once, one where its artifact has one cache.
        ready: called with what is served as soon as it is.

    Raises:
        UsageError: the bundle's task has no place in the interface, or no batch.
        BundleError: the bundle is not what its manifest says.
        GateFailed: the engine here gives other outputs than it should.
        MissingExtra: no engine for it is installed.
    """
    place = bundle.directory if isinstance(bundle, Bundle) else Path(bundle)
    task, bounds = Bundle.of(bundle).manifest.task, bounds or HttpBounds()
    server: _OpenAI
    if task == DecoderServer.task:
        size = Options(batch_size=_BATCH_SIZE if batch_size is None else batch_size).batch_size
        opened, generator = open_generator(place, options or {})
        server = DecoderServer(generator, name or opened.directory.name, bounds, size)
        artifact = generator.artifact
    elif task == EncoderServer.task:
        if batch_size is not None:
            what = f"{place} is for {task}, answers of a decoder are written at once"
            raise UsageError(what, hint="leave --batch-size out")
        model = open_model(place, options or {})
        pipeline = cast("Pipeline", model.pipeline)  # what its task has
        server = EncoderServer(pipeline, name or model.bundle.directory.name, bounds)
        artifact = pipeline.artifact
    else:
        writes = registry.load("tasks", task).generates
        what = f"{place} is for {task}, HTTP is for {DecoderServer.task} and {EncoderServer.task}"
        raise UsageError(what, hint="edgewright run answers" if writes else "serve it at a socket: --socket PATH")
    served = Served(_url(sock), loopback(sock), server.name, artifact, server.batch_size)
    asyncio.run(server.run(sock, lambda: ready(served)))


def _url(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}/v1" if ":" in host else f"http://{host}:{port}/v1"


class _OpenAI(HttpServer):
    """What every model answers: which one it is, and how it is.

    Attributes:
        task: that it is for.
        ways: where it answers.
        batch_size: how many requests are answered at once.
    """

    task: str
    ways: tuple[str, ...]
    batch_size = 1

    def __init__(self, name: str, bounds: HttpBounds) -> None:
        super().__init__(name, bounds)
        self._since_s = int(time.time())

    def routes(self, path: str) -> Mapping[str, Route]:
        if path == "/health":
            return {"GET": self._health}
        if path == "/v1/models":
            return {"GET": self._models}
        return {"GET": self._model} if path.startswith("/v1/models/") else {}

    def nowhere(self) -> str:
        return f"{self.name} is a model for {self.task}, it answers at {' and '.join(self.ways)}."

    def check_model(self, asked: str) -> None:
        """Raise Refused for another model than the one that is served."""
        if asked != self.name:
            what = f"The model {quoted(asked)} does not exist, {self.name!r} is served."
            raise Refused(HTTPStatus.NOT_FOUND, what, param="model", code="model_not_found")

    async def _health(self, connection: Connection, _: Request) -> None:
        counts = {"waiting": self.waiting, "answered": self.answered, "left": self.left}
        await send(connection, {"status": "ok", "model": self.name, **counts})

    async def _models(self, connection: Connection, _: Request) -> None:
        await send(connection, {"object": "list", "data": [self._card()]})

    async def _model(self, connection: Connection, request: Request) -> None:
        self.check_model(request.path.removeprefix("/v1/models/"))
        await send(connection, self._card())

    def _card(self) -> dict[str, Any]:
        return {"id": self.name, "object": "model", "created": self._since_s, "owned_by": "edgewright"}


class DecoderServer(_OpenAI):
    """Completions, of a conversation or of a text."""

    task = "text-generation"
    ways = ("/v1/chat/completions", "/v1/completions")

    def __init__(self, generator: Generator, name: str, bounds: HttpBounds, batch_size: int = _BATCH_SIZE) -> None:
        super().__init__(name, bounds)
        self._generator = generator
        batch = generator.batch(batch_size)
        self.batch_size, self._writer = batch.free, Writer(generator, batch)

    def routes(self, path: str) -> Mapping[str, Route]:
        """The two kinds of completions beside what every model answers."""
        own: dict[str, Route] = dict(zip(self.ways, (self._chat, self._complete), strict=True))
        return {"POST": own[path]} if path in own else super().routes(path)

    async def _chat(self, connection: Connection, request: Request) -> None:
        asked = decoded(request.body, request.headers, ChatRequest)
        turns = asked.turns()
        if not self._generator.has_template:
            what = f"The model {self.name!r} has no chat template; ask {self.ways[1]}."
            raise Refused(HTTPStatus.BAD_REQUEST, what, param="messages", code="unsupported_value")
        await self._written(connection, asked, Chat(self.name), lambda generator: generator.ids(turns))

    async def _complete(self, connection: Connection, request: Request) -> None:
        asked = decoded(request.body, request.headers, CompletionRequest)
        prompt = asked.asked()
        await self._written(connection, asked, Completion(self.name), lambda generator: _ids(generator, prompt))

    async def _written(
        self, connection: Connection, asked: GenerationRequest, form: Completion, ids: Callable[[Generator], list[int]]
    ) -> None:
        self.check_model(asked.model)
        writing = Writing(ids, asked.options())
        with self.writing(connection, writing, self._writer):
            await writing.begun()
            if asked.stream:
                await stream(connection, writing, form, counts=asked.counts)
            else:
                await whole(connection, writing, form)


def _ids(generator: Generator, prompt: str | list[int]) -> list[int]:
    """The token ids of a prompt. Raises Refused."""
    if isinstance(prompt, str):
        return generator.ids(prompt)
    most = generator.session.decoder.vocabulary
    strange = next((token for token in prompt if not 0 <= token < most), None)
    if strange is not None:
        what = f"The prompt has the token {strange}, the model has those from 0 to {most - 1}."
        raise Refused(HTTPStatus.BAD_REQUEST, what, param="prompt", code="invalid_value")
    return prompt


class EncoderServer(_OpenAI):
    """Embeddings."""

    task = "feature-extraction"
    ways = ("/v1/embeddings",)

    def __init__(self, pipeline: Pipeline, name: str, bounds: HttpBounds) -> None:
        super().__init__(name, bounds)
        self._pipeline = pipeline

    def routes(self, path: str) -> Mapping[str, Route]:
        """Embeddings beside what every model answers."""
        return {"POST": self._embed} if path in self.ways else super().routes(path)

    async def _embed(self, connection: Connection, request: Request) -> None:
        asked = decoded(request.body, request.headers, EmbeddingRequest)
        self.check_model(asked.model)
        rows, tokens = [], 0
        with self.place():
            for at, text in enumerate(asked.texts()):  # one by one: a long request keeps no short one waiting
                if connection.gone:
                    self.left += 1
                    return
                vector, count = await self.in_turn(self._vector, text)
                _check_width(asked, len(vector))
                value = vector.tolist() if asked.encoding_format == "float" else b64encode(vector.tobytes()).decode()
                rows.append({"object": "embedding", "index": at, "embedding": value})
                tokens += count
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        self.answered += 1
        await send(connection, {"object": "list", "data": rows, "model": self.name, "usage": usage})

    def _vector(self, text: str) -> tuple[NDArray[np.float32], int]:
        """The embedding of a text, float32 (width,), and how many tokens it took."""
        task = self._pipeline.task
        encoding = task.encode(self._pipeline.tokenizer, [text])
        (vector,) = task.decode(encoding.run(self._pipeline.session.run), encoding)
        return np.asarray(vector, "<f4"), int(encoding.lengths[0])


def _check_width(asked: EmbeddingRequest, width: int) -> None:
    if asked.dimensions not in (None, width):
        what = f"The vectors have {width} dimensions, {asked.dimensions} are asked for."
        raise Refused(HTTPStatus.BAD_REQUEST, what, param="dimensions", code="unsupported_value")
