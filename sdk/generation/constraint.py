"""Answers of a form: one of some words, a text that a regular expression matches, JSON that a schema allows.

Before each token, `llguidance` says which ones may come next; all others are out of the question, so that whatever is
written begins an answer of that form, and one that ends by itself is one. Where no token may come next, nothing comes.

A vocabulary that was cut down has no token for some bytes, and a form may want them behind its beginning: then
one whole answer is looked for before the first token is written.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from edgewright import registry
from edgewright.errors import DataError, UsageError, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["Constraint", "Constraints", "Form"]

_MOST_BYTES = 1 << 20
"""Of a schema or an expression: a choice, a thousand times what is usual."""
_IN_TEXT = (*range(0xC0), *range(0xC2, 0xF5))
"""Bytes that UTF-8 has (RFC 3629, section 4)."""
_MOST_LOOKED = 1000
"""Tokens that are tried for one whole answer, some 20 us each: a form that takes more is taken as it is, and an answer
that ends up where nothing may follow is an error then."""


@dataclass(frozen=True)
class Form:
    """What every answer has to be.

    Attributes:
        kind: `regex`, in the syntax of Rust's regex crate and anchored on both sides, or `json_schema` (draft 2020-12).
        text: the expression, or the schema as JSON.
    """

    kind: Literal["regex", "json_schema"]
    text: str

    def __post_init__(self) -> None:
        """Raise UsageError for one that is too long."""
        if (size := len(self.text.encode("utf-8", "replace"))) > _MOST_BYTES:
            raise UsageError(f"the {self.kind} has {size} bytes, at most {_MOST_BYTES} are taken")

    @classmethod
    def of(
        cls,
        *,
        choices: Sequence[str] | None = None,
        regex: str | None = None,
        json_schema: Mapping[str, Any] | str | None = None,
    ) -> Form | None:
        """The one form that is given, if any. Raises UsageError for several, or for none of some."""
        named = {"choices": choices, "regex": regex, "json_schema": json_schema}
        given = [name for name, value in named.items() if value is not None]
        if len(given) > 1:
            raise UsageError(f"{' and '.join(given)} are given, an answer has one form", hint="leave one")
        if choices is not None:
            if isinstance(choices, str) or not choices or not all(isinstance(one, str) and one for one in choices):
                raise UsageError(f"choices is {choices!r}, it must be texts", hint='give ["yes", "no"]')
            return cls("regex", "|".join(re.escape(one) for one in choices))
        if regex is not None:
            if not isinstance(regex, str):
                raise UsageError(f"regex is {regex!r}, it must be a text")
            return cls("regex", regex)
        if json_schema is not None:
            return cls("json_schema", json_schema if isinstance(json_schema, str) else _as_json(json_schema))
        return None


class Constraints:
    """A tokenizer as `llguidance` reads it, which takes a moment and serves every answer.

    Args:
        directory: where tokenizer.json lies.
        vocabulary: how many logits the model gives.
        ends: ids of the tokens that end an answer, which none may contain.

    Raises:
        MissingExtra: `llguidance` is not installed.
        DataError: it does not carry this tokenizer.
    """

    def __init__(self, directory: Path, vocabulary: int, ends: Iterable[int]) -> None:
        registry.require(("llguidance",), "constrained")
        from llguidance import LLTokenizer

        self._size = vocabulary
        path = directory / "tokenizer.json"
        try:
            self._tokenizer = LLTokenizer(path.read_text("utf-8"), n_vocab=vocabulary, eos_token=sorted(ends) or None)
        except (ValueError, RuntimeError, OSError) as error:
            raise DataError(f"llguidance does not take {path}: {one_line(str(error))}") from error

    def begin(self, form: Form) -> Constraint:
        """Hold one answer to a form. Raises UsageError: no answer has it, or it is none."""
        from llguidance import LLMatcher

        try:
            make = LLMatcher.grammar_from_regex if form.kind == "regex" else _schema
            matcher = LLMatcher(self._tokenizer, make(form.text), log_level=0)
        except ValueError as error:
            raise _refused(form, str(error)) from error
        constraint = Constraint(matcher, self._size)
        if dead := constraint.dead():
            raise _refused(form, dead)
        if self._missing and not matcher.is_accepting() and not self._found(matcher):
            named = " ".join(f"{byte:#04x}" for byte in self._missing[:8])
            words = (
                f"this tokenizer cannot write one, it has no token for {len(self._missing)} bytes, {named} among them"
            )
            raise _refused(form, words)
        return constraint

    @cached_property
    def _bytes(self) -> dict[int, int]:
        """The token of each byte of text that has one."""
        each = {byte: self._tokenizer.tokenize_bytes(bytes([byte])) for byte in _IN_TEXT}
        return {byte: ids[0] for byte, ids in each.items() if self._tokenizer.decode_bytes(ids) == bytes([byte])}

    @property
    def _missing(self) -> list[int]:
        """The bytes of text that no token is; where there are none, every text that a form allows can be written."""
        return [byte for byte in _IN_TEXT if byte not in self._bytes]

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        """All tokens, those first that end what was begun, then digits, which a number is made of, then whatever."""
        first = [self._bytes[byte] for byte in b'"}]0123456789' if byte in self._bytes]
        tokens = (*first, *range(self._tokenizer.vocab_size))
        return np.array(list(dict.fromkeys(tokens)), np.int64)

    def _found(self, matcher: Any) -> bool:
        """Whether one whole answer was found, depth first, or not looked for to the end."""
        ways = [self._ways(matcher)]
        for _ in range(_MOST_LOOKED):
            here, token = next(ways[-1], (None, 0))
            if here is None:
                ways.pop()
                if not ways:
                    return False
                continue
            there = here.deep_copy()
            if there.consume_token(token):
                if there.is_accepting():
                    return True
                ways.append(self._ways(there))
        return True

    def _ways(self, matcher: Any) -> Iterator[tuple[Any, int]]:
        """A state with each token that may follow it. Where none may, the end is in the mask, an error in the state."""
        allowed = Constraint(matcher, self._size).allowed()[self._order]
        if matcher.is_error():
            return
        yield from ((matcher, int(token)) for token in self._order[allowed])


class Constraint:
    """Which tokens may come next in one answer."""

    def __init__(self, matcher: Any, vocabulary: int) -> None:
        self._matcher = matcher
        self._bits = np.zeros(-(-vocabulary // 32), np.int32)
        self._size = vocabulary

    def allowed(self) -> NDArray[np.bool_]:
        """Whether each token may, bool (vocabulary,)."""
        self._matcher.unsafe_compute_mask_ptr(self._bits.ctypes.data, self._bits.nbytes)
        return np.unpackbits(self._bits.view(np.uint8), count=self._size, bitorder="little").view(np.bool_)

    def dead(self) -> str:
        """Why no token may come next, "" where one may."""
        some = self.allowed().any()  # which also finds errors
        return self._error() or ("" if some else "no token of this model goes on with it")

    def held(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """The logits, with minus infinity for each token that may not come. Raises DataError: none may."""
        allowed = self.allowed()
        if self._matcher.is_error() or not allowed.any():
            raise DataError(f"the answer cannot keep to its form: {self.dead()}", hint="ask for a simpler one")
        return np.where(allowed, logits, np.float32(-np.inf))

    def take(self, token: int) -> bool:
        """Go on behind a token; whether nothing may follow it. Raises DataError: it was not allowed."""
        if not self._matcher.consume_token(token):
            words = f"token {token} cannot go on with the form of the answer: {self._error()}"
            raise DataError(words, hint="ask for a simpler one")
        return bool(self._matcher.is_stopped())

    def _error(self) -> str:
        """What is wrong, without the state of the parser that stands behind it."""
        return one_line(str(self._matcher.get_error()).partition("<state>")[0])


def _as_json(schema: Any) -> str:
    try:
        return json.dumps(schema)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(
            f"json_schema is no JSON: {error}", hint="give a dictionary of plain values, or a text"
        ) from error


def _schema(text: str) -> str:
    from llguidance import LLMatcher

    # blanks between the parts, as many as it likes, are what a small model fills its answer with; a keyword that is not
    # carried out is an error, whatever the schema says of itself
    made: str = LLMatcher.grammar_from_json_schema(text, overrides={"whitespace_flexible": False, "lenient": False})
    return made


def _refused(form: Form, words: str) -> UsageError:
    hint = "regular expressions are those of Rust's regex crate, schemas those of JSON Schema 2020-12"
    return UsageError(f"no answer can have this form, {form.kind}: {one_line(words)}", hint=hint)
