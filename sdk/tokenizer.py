"""The one tokenizer: a `tokenizer.json` run by the `tokenizers` library, the same for every engine and on every device.

What happens to odd texts is defined. A lone surrogate becomes U+FFFD, as in any decoding with replacement; NUL and
other control characters are the tokenizer's business; special tokens written in a text count as special tokens, as in
Hugging Face's libraries; a text longer than the model is cut at `max_length` tokens; one over `MAX_TEXT_BYTES` is
refused.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgewright.errors import TokenizerError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["MAX_TEXT_BYTES", "Encoding", "Text", "Tokenizer"]

MAX_TEXT_BYTES = 1 << 20

Text = str | tuple[str, str]


@dataclass(frozen=True)
class Encoding:
    """A batch of n texts, padded to the longest.

    Attributes:
        feeds: input_ids, attention_mask and token_type_ids, each int64 (n, length).
        offsets: per text, per token, the (start, end) characters that it covers; padding is left out.
    """

    feeds: dict[str, NDArray[np.int64]]
    offsets: tuple[list[tuple[int, int]], ...]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Real tokens of each text, int64 (n,)."""
        lengths: NDArray[np.int64] = self.feeds["attention_mask"].sum(axis=1)
        return lengths


class Tokenizer:
    """Texts and text pairs -> token ids.

    Args:
        directory: where `tokenizer.json` lies, and `tokenizer_config.json` if there is one.
        max_length: texts are cut at so many tokens, special tokens included.

    Raises:
        TokenizerError: there is no tokenizer.json, or it does not load.
    """

    def __init__(self, directory: Path, max_length: int) -> None:
        path = directory / "tokenizer.json"
        if not path.is_file():
            raise TokenizerError(f"no tokenizer.json in {directory}", hint="save the model's tokenizer beside it")
        with _narrowed(f"{path} does not load"):
            from tokenizers import Tokenizer as Backend

            self._backend = Backend.from_file(str(path))
            self._pad_id, self._pad_type = _padding(self._backend, directory)
            self._backend.no_padding()
        self.max_length = max_length
        self.limit(max_length)

    def limit(self, tokens: int) -> None:
        """Cut texts at another number of tokens from now on."""
        if tokens < 1:
            raise TokenizerError(f"cannot cut texts at {tokens} tokens")
        self._limit = tokens
        with _narrowed(f"cannot cut texts at {tokens} tokens"):
            self._backend.enable_truncation(tokens)

    @property
    def largest_id(self) -> int:
        """The largest token id that the tokenizer can give, -1 if it has no tokens."""
        return max(self._backend.get_vocab(with_added_tokens=True).values(), default=-1)

    def encode(self, texts: Sequence[Text]) -> Encoding:
        """Tokenize a batch. Raises TokenizerError for a text that is too long or that the library gives up on."""
        encoded = [self._encode(text) for text in texts]
        longest = max(len(e.ids) for e in encoded)
        if longest == 0:
            raise TokenizerError("the text has no tokens", hint="this tokenizer adds no special tokens; send some text")
        feeds = {
            "input_ids": _stack([e.ids for e in encoded], longest, self._pad_id),
            "attention_mask": _stack([e.attention_mask for e in encoded], longest, 0),
            "token_type_ids": _stack([e.type_ids for e in encoded], longest, self._pad_type),
        }
        return Encoding(feeds, tuple(e.offsets for e in encoded))

    def decode(self, ids: Sequence[int]) -> str:
        """Token ids -> text, special tokens left out."""
        with _narrowed("cannot decode"):
            return str(self._backend.decode(list(ids)))

    def _encode(self, text: Text) -> Any:
        parts = tuple(text) if isinstance(text, tuple | list) else (text,)
        clean: list[Any] = [_clean(part) for part in parts]
        with _narrowed(f"cannot tokenize {parts[0][:40]!r}"):
            encoded = self._backend.encode(*clean)
        if len(encoded.ids) > self._limit:
            what = f"a text keeps {len(encoded.ids)} tokens where at most {self._limit} are allowed"
            raise TokenizerError(what, hint="special tokens alone take so many; allow more")
        return encoded


def _clean(text: str) -> str:
    if not isinstance(text, str):
        raise TokenizerError(f"a text must be a string, got {type(text).__name__}")
    if not text.isascii():
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    size = len(text) if text.isascii() else len(text.encode())
    if size > MAX_TEXT_BYTES:
        raise TokenizerError(f"a text has {size} bytes, at most {MAX_TEXT_BYTES} are taken", hint="split it")
    return text


def _stack(rows: Sequence[Sequence[int]], longest: int, fill: int) -> NDArray[np.int64]:
    if len(rows) == 1:
        return np.array(rows, dtype=np.int64)
    out = np.full((len(rows), longest), fill, dtype=np.int64)
    for target, row in zip(out, rows, strict=True):
        target[: len(row)] = row
    return out


def _padding(backend: Any, directory: Path) -> tuple[int, int]:
    if backend.padding:
        return int(backend.padding["pad_id"]), int(backend.padding["pad_type_id"])
    config = directory / "tokenizer_config.json"
    token = json.loads(config.read_text()).get("pad_token") if config.is_file() else None
    token = token.get("content") if isinstance(token, dict) else token
    found = backend.token_to_id(token) if token else None
    return found or 0, 0


@contextmanager
def _narrowed(what: str) -> Iterator[None]:
    """Turn what the library raises into our error: its panics are not even subclasses of Exception."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit, GeneratorExit, TokenizerError):
        raise
    except BaseException as error:
        raise TokenizerError(f"{what}: {type(error).__name__}: {error}") from error
