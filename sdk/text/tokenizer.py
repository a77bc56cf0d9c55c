"""The one tokenizer: a `tokenizer.json` run by the `tokenizers` library, the same for every engine and on every device.

What happens to odd texts is defined. A lone surrogate becomes U+FFFD, as in any decoding with replacement; NUL and
other control characters are the tokenizer's business; special tokens written in a text count as special tokens, as in
Hugging Face's libraries; a text longer than the model is cut at `max_length` tokens; one over `MAX_TEXT_BYTES` is
refused.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from edgewright.errors import TokenizerError, quoted
from edgewright.system.files import read_capped, sha256
from edgewright.system.untrusted import MAX_JSON_BYTES
from edgewright.text.encoding import Each, Encoding, Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Outputs = dict[str, NDArray[Any]]
    Run = Callable[[Mapping[str, NDArray[Any]]], Outputs]

__all__ = ["MAX_TEXT_BYTES", "Tokenizer"]

_MAX_FILE_BYTES = 1 << 27
"""A choice: the largest tokenizer.json of a published model has some 35 MB."""
MAX_TEXT_BYTES = 1 << 20
"""A choice: far more than any model reads at once, and soon tokenized even without a space in it."""
_LARGEST_OVERLAP = 128
"""Tokens that two windows share: the document stride of BERT's run_squad.py."""
_MASKS = ("[MASK]", "<mask>")
_OFFSETS, _SEQUENCES, _WORDS = attrgetter("offsets"), attrgetter("sequence_ids"), attrgetter("word_ids")
"""What the library knows of a text's tokens: lists that it makes anew, which together take as long as encoding it."""


def _every(encoded: Any) -> range:
    """Each token as a word of its own."""
    return range(len(encoded))


class Tokenizer:
    """Texts and text pairs -> token ids.

    Args:
        directory: where `tokenizer.json` lies, and `tokenizer_config.json` if there is one.
        max_length: texts are cut at so many tokens, special tokens included.

    Attributes:
        marks_pieces: whether tokens that go on with a word are marked, as by WordPiece's `##`.
        pad_id: what shorter rows of a batch are filled up with, at their beginning where it `pads_left`.
        cuts_left: whether it is the beginning of a text that is cut away.

    Raises:
        TokenizerError: there is no tokenizer.json, or it does not load.
    """

    def __init__(self, directory: Path, max_length: int) -> None:
        path = directory / "tokenizer.json"
        if not path.is_file():
            raise TokenizerError(f"no tokenizer.json in {directory}", hint="save the model's tokenizer beside it")
        with _narrowed(f"{path} does not load"):
            from tokenizers import Tokenizer as Backend

            self._backend = Backend.from_buffer(read_capped(path, _MAX_FILE_BYTES, TokenizerError))
            self.pad_id, self._pad_type = _padding(self._backend, directory)
            self.pads_left = _named(directory, "padding_side") == "left"
            self.cuts_left = _named(directory, "truncation_side") == "left"
            self._backend.no_padding()
            self._backend.no_truncation()
            self._segments = any(self._backend.encode("a", "a").type_ids)
        self._directory = directory
        self.marks_pieces = bool(getattr(self._backend.model, "continuing_subword_prefix", None))
        self.max_length = max_length
        self.limit(max_length)

    def limit(self, tokens: int) -> None:
        """Cut texts at another number of tokens from now on."""
        if tokens < 1:
            raise TokenizerError(f"cannot cut texts at {tokens} tokens")
        self._limit = tokens
        with _narrowed(f"cannot cut texts at {tokens} tokens"):
            self._backend.enable_truncation(tokens, direction="left" if self.cuts_left else "right")

    @cached_property
    def sha256(self) -> str:
        """The hash of tokenizer.json."""
        return sha256(self._directory / "tokenizer.json")

    @property
    def largest_id(self) -> int:
        """The largest token id that the tokenizer can give, -1 if it has no tokens."""
        return max(self.vocabulary.values(), default=-1)

    @property
    def vocabulary(self) -> dict[str, int]:
        """Every token and its id."""
        return dict(self._backend.get_vocab(with_added_tokens=True))

    def encode(self, texts: Sequence[Text], *, cut_first: bool = False) -> Encoding:
        """Tokenize a batch. Of pairs that are too long the longer text is cut, or with `cut_first` the first.

        Raises:
            TokenizerError: a text that has too many bytes, or that the library gives up on.
        """
        clean = [_clean_text(text) for text in texts]
        if not cut_first:
            return self._batch(clean, [self._encode(text) for text in clean])
        self._backend.enable_truncation(self._limit, strategy="only_first")
        try:
            encoded = [self._cut_first(text) for text in clean]
        finally:
            self._backend.enable_truncation(self._limit)
        return self._batch(clean, encoded)

    def _cut_first(self, text: Text) -> Any:
        """A pair without the end of its first text; where the second alone is too long, both are cut."""
        try:
            return self._encode(text)
        except TokenizerError:
            self._backend.enable_truncation(self._limit)
            try:
                return self._encode(text)
            finally:
                self._backend.enable_truncation(self._limit, strategy="only_first")

    def _batch(self, texts: Sequence[Text], encoded: Sequence[Any], items: Sequence[int] = ()) -> Encoding:
        ids = [e.ids for e in encoded]
        longest = max(map(len, ids))
        if longest == 0:
            raise TokenizerError("the text has no tokens", hint="this tokenizer adds no special tokens; send some text")
        feeds = {
            "input_ids": _stack(ids, longest, self.pad_id, left=self.pads_left),
            "attention_mask": _mask(list(map(len, ids)), longest, left=self.pads_left),
            "token_type_ids": self._types(encoded, longest),
        }
        return Encoding(
            feeds,
            offsets=Each(encoded, _OFFSETS),
            texts=tuple(texts),
            sequences=Each(encoded, _SEQUENCES),
            words=Each(encoded, _WORDS if self.marks_pieces else _every),
            items=tuple(items),
            to_text=self._with_special,
            tokenizer=self,
        )

    def _with_special(self, ids: Sequence[int]) -> str:
        return self.decode(ids, skip_special=False)

    def ids(self, text: str, *, special: bool = True, literal: bool = False) -> list[int]:
        """The token ids of a text, however many.

        Args:
            text: at most `MAX_TEXT_BYTES` long.
            special: whether the tokenizer adds its own, such as the one that begins a text.
            literal: read a special token that is written in the text as its characters, not as the token.

        Raises:
            TokenizerError: it is too long, or the library gives up on it.
        """
        clean, backend = _clean(text), self._backend
        with _narrowed(f"cannot tokenize {quoted(clean)}"):
            before = backend.encode_special_tokens
            backend.no_truncation()
            backend.encode_special_tokens = literal
            try:
                return list(backend.encode(clean, add_special_tokens=special).ids)
            finally:
                backend.encode_special_tokens = before
                self.limit(self._limit)

    def token(self, id: int) -> str:  # noqa: A002
        """The token of an id as the vocabulary has it, "" for none."""
        return self._backend.id_to_token(id) or ""

    @cached_property
    def special_tokens(self) -> tuple[str, ...]:
        """The tokens that are special wherever they stand in a text."""
        return tuple(token.content for token in self._backend.get_added_tokens_decoder().values() if token.special)

    def _types(self, encoded: Sequence[Any], longest: int) -> NDArray[np.int64]:
        """Segment ids. The library gives later windows those of their texts even where its template says 0 for all."""
        if not self._segments and not self._pad_type:
            return np.zeros((len(encoded), longest), np.int64)
        types = [e.type_ids if self._segments else [0] * len(e) for e in encoded]
        return _stack(types, longest, self._pad_type, left=self.pads_left)

    def windows(self, pairs: Sequence[tuple[str, str]]) -> Encoding:
        """Tokenize pairs whose second text may be longer than the model: overlapping windows of it, a row each.

        Every window has the first text in front, which is cut at half a window. Windows overlap by 128 tokens, or in
        small ones by half of what is left for the second text. Raises TokenizerError as `encode` does.
        """
        clean = [(_clean(first), _clean(second)) for first, second in pairs]
        rows = [(at, row) for at, pair in enumerate(clean) for row in self._windows(*pair)]
        return self._batch([clean[at] for at, _ in rows], [row for _, row in rows], [at for at, _ in rows])

    def _windows(self, first: str, second: str) -> list[Any]:
        with _narrowed(f"cannot tokenize {quoted(first)}"):
            room = self._limit - self._backend.num_special_tokens_to_add(is_pair=True)
            asked = self._backend.encode(first, add_special_tokens=False)
            if len(asked.ids) > room // 2 > 0:
                first = first[: asked.offsets[room // 2 - 1][1]]
                asked = self._backend.encode(first, add_special_tokens=False)
            room -= len(asked.ids)
            if room < 1:
                raise TokenizerError(f"{self._limit} tokens leave no room for a pair of texts", hint="allow more")
            stride = min(_LARGEST_OVERLAP, self._limit // 2, room // 2)
            self._backend.enable_truncation(self._limit, stride=stride, strategy="only_second")
            try:
                encoded = self._backend.encode(first, second)
            finally:
                self.limit(self._limit)
        return [encoded, *encoded.overflowing]

    @cached_property
    def mask_token(self) -> str:
        """The token that stands for a word to fill, such as `[MASK]`. Raises TokenizerError where there is none."""
        known = [token for token in (_named(self._directory, "mask_token"), *_MASKS) if token]
        found = next((token for token in known if self._backend.token_to_id(token) is not None), None)
        if found is None:
            raise TokenizerError(f"{self._directory} has no mask token", hint="is it the tokenizer of a masked model?")
        return found

    @cached_property
    def unknown_id(self) -> int:
        """The id of the token for what is not in the vocabulary, -1 where there is none."""
        token = _named(self._directory, "unk_token")
        found: Any = self._backend.token_to_id(token) if token else None
        return -1 if found is None else int(found)

    @cached_property
    def mask_id(self) -> int:
        """The id of `mask_token`."""
        found: Any = self._backend.token_to_id(self.mask_token)
        return int(found)

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """Token ids -> tokens as the vocabulary has them."""
        return [str(self._backend.id_to_token(one)) for one in ids]

    def joined(self, tokens: Sequence[str]) -> str:
        """Tokens -> the text that they stand for."""
        with _narrowed("cannot join tokens"):
            decoder = self._backend.decoder
            return str(decoder.decode(list(tokens))) if decoder else " ".join(tokens)

    def decode(self, ids: Sequence[int], *, skip_special: bool = True) -> str:
        """Token ids -> text, special tokens left out or not."""
        with _narrowed("cannot decode"):
            return str(self._backend.decode(list(ids), skip_special_tokens=skip_special))

    def _encode(self, text: Text) -> Any:
        parts = text if isinstance(text, tuple) else (text,)
        try:  # what `_narrowed` does, which for a short text would take longer than the text itself
            encoded = self._backend.encode(*parts)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            raise _narrow(f"cannot tokenize {quoted(parts[0])}", error) from error
        if len(encoded) > self._limit:
            what = f"a text keeps {len(encoded)} tokens where at most {self._limit} are allowed"
            raise TokenizerError(what, hint="special tokens alone take so many; allow more")
        return encoded


def _clean_text(text: Text) -> Text:
    if isinstance(text, tuple | list):
        return tuple(_clean(part) for part in text)  # type: ignore[return-value]  # two of them, or the library says so
    return _clean(text)


def _clean(text: str) -> str:
    if not isinstance(text, str):
        raise TokenizerError(f"a text must be a string, got {type(text).__name__}")
    try:
        size = len(text) if text.isascii() else len(text.encode())
    except UnicodeEncodeError:
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        size = len(text.encode())
    if size > MAX_TEXT_BYTES:
        raise TokenizerError(f"a text has {size} bytes, at most {MAX_TEXT_BYTES} are taken", hint="split it")
    return text


def _stack(rows: Sequence[Sequence[int]], longest: int, fill: int, *, left: bool) -> NDArray[np.int64]:
    if len(rows) == 1:
        return np.array(rows, dtype=np.int64)
    out = np.full((len(rows), longest), fill, dtype=np.int64)
    for target, row in zip(out, rows, strict=True):
        target[longest - len(row) if left else 0 :][: len(row)] = row
    return out


def _mask(lengths: Sequence[int], longest: int, *, left: bool) -> NDArray[np.int64]:
    if len(lengths) == 1:
        return np.ones((1, longest), np.int64)
    places = np.arange(longest)[::-1] if left else np.arange(longest)
    mask: NDArray[np.int64] = (places < np.array(lengths)[:, None]).astype(np.int64)
    return mask


def _padding(backend: Any, directory: Path) -> tuple[int, int]:
    if backend.padding:
        return int(backend.padding["pad_id"]), int(backend.padding["pad_type_id"])
    token = _named(directory, "pad_token")
    found = backend.token_to_id(token) if token else None
    return found or 0, 0


def _named(directory: Path, name: str) -> str | None:
    """The token that tokenizer_config.json gives for a role. Raises TokenizerError: it is no JSON object in UTF-8."""
    config = directory / "tokenizer_config.json"
    if not config.is_file():
        return None
    try:
        tree = json.loads(read_capped(config, MAX_JSON_BYTES, TokenizerError).decode())
    except (OSError, ValueError, RecursionError) as error:
        raise TokenizerError(f"{config} does not load: {error}") from error
    if not isinstance(tree, dict):
        raise TokenizerError(f"{config} does not load: it holds a {type(tree).__name__}, no JSON object")
    token = tree.get(name)
    found = token.get("content") if isinstance(token, dict) else token
    if not isinstance(found, str | None):
        raise TokenizerError(f"{config} does not load: {name} is a {type(found).__name__}, no text")
    return found


@contextmanager
def _narrowed(what: str) -> Iterator[None]:
    """Turn what the library raises into our error: its panics are not even subclasses of Exception."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit, GeneratorExit, TokenizerError):
        raise
    except BaseException as error:
        raise _narrow(what, error) from error


def _narrow(what: str, error: BaseException) -> TokenizerError:
    return TokenizerError(f"{what}: {type(error).__name__}: {error}")
