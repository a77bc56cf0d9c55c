"""Chat templates: messages -> the text that a model was trained on, as transformers' `apply_chat_template` renders it.

A template is a stranger's program. It runs in Jinja's immutable sandbox, sees plain data alone, and what it renders has
a cap. A message is a person's text: a special token written in it is read as the characters that it is made of, never
as the token, so that nobody ends another one's turn by writing so.
"""

from __future__ import annotations

import json
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from edgewright import registry
from edgewright.errors import DataError, SourceError, UsageError, quoted
from edgewright.system.files import read_capped
from edgewright.system.untrusted import MAX_JSON_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from edgewright.text.tokenizer import Tokenizer

    Message = Mapping[str, Any]

__all__ = ["FILE", "ROLES", "ChatTemplate"]

FILE = "chat_template.jinja"
"""Where transformers 5 saves it; before, it stood in tokenizer_config.json."""
ROLES = ("system", "user", "assistant", "tool")
"""Who speaks, in transformers' and OpenAI's words."""
_NAMED = ("bos_token", "eos_token", "unk_token", "pad_token")
"""Tokens that a template may ask for by their role."""


class ChatTemplate:
    """The template of a tokenizer's directory.

    Args:
        directory: where chat_template.jinja or tokenizer_config.json lies.

    Raises:
        SourceError: there is none, or it is no template.
        MissingExtra: Jinja is not installed.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        config = directory / "tokenizer_config.json"
        self._config = json.loads(read_capped(config, MAX_JSON_BYTES, SourceError)) if config.is_file() else {}
        self.source = self._found()

    def _found(self) -> str:
        alone = self._directory / FILE
        if alone.is_file():
            return read_capped(alone, MAX_JSON_BYTES, SourceError).decode("utf-8", "replace")
        told = self._config.get("chat_template")
        if isinstance(told, list):  # several, by name
            told = {each.get("name"): each.get("template") for each in told if isinstance(each, dict)}.get("default")
        if not isinstance(told, str):
            hint = "give a plain prompt, or put the model's chat_template.jinja beside its tokenizer"
            raise SourceError(f"{self._directory} has no chat template", hint=hint)
        return told

    @cached_property
    def _compiled(self) -> Any:
        registry.require(("jinja2",), "chat")
        from jinja2 import TemplateError

        from edgewright.generation.template_sandbox import Sandbox

        def raise_exception(message: str) -> None:
            raise TemplateError(message)

        environment = Sandbox()
        environment.globals |= {"raise_exception": raise_exception, "strftime_now": _now}
        try:
            return environment.from_string(self.source)
        except (TemplateError, RecursionError) as error:
            raise SourceError(f"the chat template does not parse: {error}", hint="is it the model's own?") from error

    def render(self, messages: Sequence[Message], *, answer: bool = True) -> str:
        """The text of a conversation, and with `answer` the beginning of the assistant's turn.

        Raises:
            DataError: a message is none, or the template refuses them.
        """
        plain, compiled = [_plain(at, message) for at, message in enumerate(messages)], self._compiled
        from edgewright.generation.template_sandbox import MOST_CHARACTERS, rendering

        parts, size = [], 0
        given: dict[str, Any] = {
            "messages": plain,
            "add_generation_prompt": answer,
            "tools": None,
            "documents": None,
            **self.tokens,
        }
        try:
            with rendering():
                for part in compiled.generate(**given):
                    size += len(part)
                    parts.append(part)
                    if size > MOST_CHARACTERS:
                        break
        except Exception as error:  # a template may raise whatever it likes
            what = f"the chat template refuses {len(plain)} messages: {type(error).__name__}: {error}"
            raise DataError(what, hint="most want user and assistant in turn, and system first") from error
        if size > MOST_CHARACTERS:
            what = f"the chat template renders more than {MOST_CHARACTERS} characters"
            raise DataError(what, hint="shorten the conversation")
        return "".join(parts)

    @property
    def tokens(self) -> dict[str, str]:
        """The special tokens by their roles, "" for one that the model lacks."""
        given = {name: self._config.get(name) for name in _NAMED}
        return {name: token["content"] if isinstance(token, dict) else token or "" for name, token in given.items()}

    def encode(self, tokenizer: Tokenizer, messages: Sequence[Message], *, answer: bool = True) -> list[int]:
        """The token ids of a conversation; raises what `render` raises."""
        marked, hidden = _hidden([_plain(at, m) for at, m in enumerate(messages)], tokenizer.special_tokens)
        rendered = self.render(marked, answer=answer)
        if not hidden:
            return tokenizer.ids(rendered, special=False)
        ids: list[int] = []
        for piece, literal in _pieces(rendered, hidden):
            ids += tokenizer.ids(piece, special=False, literal=literal)
        return ids


def _hidden(messages: list[dict[str, Any]], special: Sequence[str]) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The messages with each special token in their words replaced by a mark, and what the marks stand for."""
    written = sorted((token for token in special if token), key=len, reverse=True)
    marks = {token: f"\ue000{at}\ue001" for at, token in enumerate(written)}
    used: dict[str, str] = {}
    for message in messages:
        words = message["content"]
        for token in written:
            if token in words:
                words = words.replace(token, marks[token])
                used[marks[token]] = token
        message["content"] = words
    return messages, used


def _pieces(rendered: str, hidden: Mapping[str, str]) -> list[tuple[str, bool]]:
    """The text cut at the marks: (piece, whether it is to be read as characters)."""
    pieces = [(rendered, False)]
    for mark, token in hidden.items():
        cut: list[tuple[str, bool]] = []
        for piece, literal in pieces:
            for at, part in enumerate(piece.split(mark) if not literal else [piece]):
                cut += [(token, True)] * (at > 0) + ([(part, literal)] if part else [])
        pieces = cut
    return pieces


def _plain(at: int, message: Any) -> dict[str, Any]:
    """A message as `{"role", "content"}`. Raises DataError."""
    role, content = (message.get(name) if hasattr(message, "get") else None for name in ("role", "content"))
    if isinstance(content, list):  # OpenAI's parts
        given = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"]
        texts = [part for part in given if isinstance(part, str)]
        content = "".join(texts) if len(texts) == len(content) else None
    if not isinstance(role, str) or not isinstance(content, str):
        what = f"message {at} is {quoted(str(message))}, it must have a role and a content that is a text"
        raise DataError(what, hint='the first message is 0: {"role": "user", "content": "..."}')
    if role not in ROLES:
        raise UsageError(f"message {at} has the role {quoted(role)}", hint=f"roles are {', '.join(ROLES)}")
    return {"role": role, "content": content}


def _now(form: str) -> str:
    """The date, which some templates put into the system's words."""
    return datetime.now().astimezone().strftime(form)
