"""Requests of OpenAI's interface as structs, and what they ask of a decoder (platform.openai.com/docs/api-reference).

What is not carried out is refused by name, unless it asks for what happens anyway: an answer that silently ignored
`logprobs` or a tool would be taken for one that has none.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeVar

import msgspec
from msgspec import Struct, to_builtins

from edgewright.errors import quoted
from edgewright.serving.http_connection import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ChatRequest", "CompletionRequest", "EmbeddingRequest", "GenerationRequest", "Message", "Part", "decoded"]

_MOST_STOPS = 4
"""The interface's own limit."""
_MOST_INPUTS = 2048
"""Of one request for embeddings: the interface's own limit."""
_PLAIN_TOKENS = 16
"""Of a completion that gives no limit: the interface's own default."""
_MOST_TEMPERATURE = 2.0
"""The interface's own limit."""
_SEED_BITS = (1 << 64) - 1
"""The interface's seeds are signed integers of 64 bits, ours natural numbers."""


class _StreamOptions(Struct):
    include_usage: bool = False
    include_obfuscation: bool | None = None


class _Text(Struct, tag_field="type", tag="text"):
    pass


class _JsonObject(Struct, tag_field="type", tag="json_object"):
    pass


class _Schema(Struct, kw_only=True):
    schema: dict[str, Any]
    name: str = ""
    description: str | None = None
    strict: bool | None = None


class _JsonSchema(Struct, tag_field="type", tag="json_schema"):
    json_schema: _Schema


class GenerationRequest(Struct, kw_only=True):
    """What chat and plain completions have in common; `top_k`, `min_p` and `repetition_penalty` are ours."""

    model: str
    stream: bool | None = False
    stream_options: _StreamOptions | None = None
    stop: str | list[str] | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    n: int | None = 1
    frequency_penalty: float | None = 0.0
    presence_penalty: float | None = 0.0
    logit_bias: dict[str, float] | None = None
    user: str | None = None

    @property
    def counts(self) -> bool:
        """Whether a stream ends with what was used."""
        return self.stream_options is not None and self.stream_options.include_usage

    def options(self) -> dict[str, Any]:
        """Options of `Generator.options`, those that are given. Raises Refused."""
        self._check()
        names = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")
        given = {name: value for name in names if (value := getattr(self, name)) is not None}
        if self.seed is not None:
            given["seed"] = self.seed & _SEED_BITS
        if self.stop:
            given["stop"] = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)
        if (limit := self.limit()) is not None:
            given["max_new_tokens"] = limit
        return given

    def limit(self) -> int | None:
        """The most new tokens, None for all that the context holds."""
        return self.max_tokens

    def _check(self) -> None:
        if self.n not in (None, 1):
            _refuse("n", f"is {self.n}, one answer is given", "unsupported_value")
        if isinstance(self.stop, list) and len(self.stop) > _MOST_STOPS:
            _refuse("stop", f"has {len(self.stop)} strings, at most {_MOST_STOPS} are taken")
        limit = self.limit()
        if limit is not None and limit < 1:
            _refuse("max_tokens", f"is {limit}, at least 1 is wanted")
        if self.temperature is not None and not 0 <= self.temperature <= _MOST_TEMPERATURE:
            _refuse("temperature", f"is {self.temperature}, it must be from 0 to {_MOST_TEMPERATURE:g}")
        if self.stream_options is not None and not self.stream:
            _refuse("stream_options", "is only allowed with stream")
        for name in ("frequency_penalty", "presence_penalty", "logit_bias"):
            _unsupported(self, name)


class Part(Struct):
    """A part of a message's content: words where `type` is `text`; others are refused by the chat template."""

    type: str
    text: str | None = None


class Message(Struct, kw_only=True):
    """What one side said."""

    role: str
    content: str | list[Part] | None = None
    tool_calls: list[Any] | None = None
    function_call: Any = None

    def turn(self) -> dict[str, Any]:
        """As chat templates know it: the developer's words are the system's."""
        content = [to_builtins(part) for part in self.content] if isinstance(self.content, list) else self.content
        return {"role": "system" if self.role == "developer" else self.role, "content": content}


class ChatRequest(GenerationRequest, kw_only=True, forbid_unknown_fields=True):
    """A conversation that the assistant shall go on with."""

    messages: list[Message]
    max_completion_tokens: int | None = None
    response_format: _Text | _JsonObject | _JsonSchema | None = None
    tools: list[Any] | None = None
    tool_choice: Any = None
    functions: list[Any] | None = None
    function_call: Any = None
    logprobs: bool | None = False
    top_logprobs: int | None = 0
    modalities: list[str] | None = None
    audio: Any = None
    prediction: Any = None
    web_search_options: Any = None
    # these change no answer
    metadata: Any = None
    parallel_tool_calls: Any = None
    prompt_cache_key: Any = None
    prompt_cache_retention: Any = None
    reasoning_effort: Any = None
    safety_identifier: Any = None
    service_tier: Any = None
    store: Any = None
    verbosity: Any = None

    def limit(self) -> int | None:
        """The most new tokens, None for all that the context holds. Raises Refused."""
        if self.max_tokens is not None and self.max_completion_tokens is not None:
            _refuse("max_tokens", "and max_completion_tokens say the same, give one of the two")
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens

    def options(self) -> dict[str, Any]:
        """Options of `Generator.options`, those that are given. Raises Refused."""
        given = super().options()
        if isinstance(self.response_format, _JsonSchema):
            given["json_schema"] = self.response_format.json_schema.schema
        elif isinstance(self.response_format, _JsonObject):
            given["json_schema"] = {"type": "object"}
        return given

    def turns(self) -> list[dict[str, Any]]:
        """The messages as chat templates know them. Raises Refused."""
        if not self.messages:
            _refuse("messages", "is empty, at least one message is wanted")
        for at, message in enumerate(self.messages):
            if message.tool_calls or message.function_call:
                _refuse(f"messages[{at}].tool_calls", "is not supported", "unsupported_parameter")
        return [message.turn() for message in self.messages]

    def _check(self) -> None:
        super()._check()
        names = ("tools", "functions", "logprobs", "top_logprobs", "audio", "prediction", "web_search_options")
        for name in names:
            _unsupported(self, name)
        if self.tool_choice not in (None, "none", "auto"):
            _refuse("tool_choice", "is not supported", "unsupported_parameter")
        if self.modalities not in (None, ["text"]):
            _refuse("modalities", "is not supported, an answer is a text", "unsupported_parameter")


class CompletionRequest(GenerationRequest, kw_only=True, forbid_unknown_fields=True):
    """A text, or its token ids, that shall go on."""

    prompt: str | list[str | int | list[int]]
    best_of: int | None = 1
    echo: bool | None = False
    logprobs: int | None = None
    suffix: str | None = None

    def limit(self) -> int | None:
        """The most new tokens."""
        return _PLAIN_TOKENS if self.max_tokens is None else self.max_tokens

    def asked(self) -> str | list[int]:
        """The one prompt. Raises Refused."""
        given = self.prompt
        if isinstance(given, str):
            return given
        ids = [part for part in given if isinstance(part, int)]
        if len(ids) == len(given):
            return ids
        if len(given) > 1:
            _refuse("prompt", f"has {len(given)} prompts, one is answered at a time", "unsupported_value")
        return given[0]  # type: ignore[return-value]  # no number: else it were a list of ids

    def _check(self) -> None:
        super()._check()
        if self.best_of not in (None, 1):
            _refuse("best_of", f"is {self.best_of}, one answer is written", "unsupported_value")
        if self.logprobs is not None:
            _refuse("logprobs", "is not supported", "unsupported_parameter")
        for name in ("echo", "suffix"):
            _unsupported(self, name)


class EmbeddingRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """Texts whose vectors are wanted."""

    model: str
    input: str | list[str | int | list[int]]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None
    user: str | None = None

    def texts(self) -> list[str]:
        """The texts. Raises Refused."""
        given = [self.input] if isinstance(self.input, str) else self.input
        if not 0 < len(given) <= _MOST_INPUTS:
            _refuse("input", f"has {len(given)} texts, from 1 to {_MOST_INPUTS} are taken")
        texts = [part for part in given if isinstance(part, str)]
        if len(texts) < len(given):
            _refuse("input", "has token ids, send texts", "unsupported_value")
        return texts


_Asked = TypeVar("_Asked", ChatRequest, CompletionRequest, EmbeddingRequest)


def decoded(body: bytes, headers: Mapping[str, str], kind: type[_Asked]) -> _Asked:
    """The request in a body. Raises Refused."""
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        # Also what keeps a web page out: a browser sends this type elsewhere only where the server agreed before
        what = "The request must have the header Content-Type: application/json."
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, what)
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        what = f"The body of the request is no JSON: {error}."
        raise Refused(HTTPStatus.BAD_REQUEST, what) from error


def _invalid(words: str) -> Refused:
    """What msgspec says of a field, with the field's name apart."""
    stranger = re.search(r"contains unknown field `(.+?)`", words)
    if stranger:
        name = stranger[1][:100]
        return Refused(HTTPStatus.BAD_REQUEST, f"Unrecognized request argument supplied: {quoted(name)}.", param=name)
    missing = re.search(r"missing required field `(.+?)`", words)
    if missing:
        name = missing[1]
        return Refused(HTTPStatus.BAD_REQUEST, f"You must provide the parameter {name!r}.", param=name)
    place = re.search(r" - at `\$\.?(.*?)`", words)
    name = place[1] if place else None
    what = f"Invalid value for {repr(name) if name else 'the body'}: {words.partition(' - at ')[0]}."
    return Refused(HTTPStatus.BAD_REQUEST, what, param=name, code="invalid_type")


def _unsupported(request: Struct, name: str) -> None:
    """Refuse a field that asks for something; empty values ask for nothing."""
    if getattr(request, name):
        _refuse(name, "is not supported", "unsupported_parameter")


def _refuse(param: str, what: str, code: str = "invalid_value") -> NoReturn:
    raise Refused(HTTPStatus.BAD_REQUEST, f"{param} {what}.", param=param, code=code)
