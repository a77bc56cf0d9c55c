"""Tokenizers for models that write, trained on documents: they lose nothing of a text, and know where one ends.

- `bpe`: byte-level byte-pair encoding (Sennrich et al. 2016, arXiv 1508.07909; Radford et al. 2019, section 2.2), with
  GPT-2's one special token.
- `unigram`: SentencePiece's (Kudo 2018, arXiv 1804.10959), with Llama's special tokens; what its pieces do not cover is
  written in tokens of single bytes. Its library adds up in no fixed order: two trainings differ in the third digit.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from edgewright.data.text_documents import END_OF_TEXT
from edgewright.errors import DataError, EdgewrightError, TokenizerError, UsageError
from edgewright.system.files import read_capped, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from edgewright.data.text_documents import Documents

__all__ = ["KINDS", "end_of", "train_decoder_tokenizer"]

KINDS = ("bpe", "unigram")
_SPECIAL = {"bpe": (END_OF_TEXT,), "unigram": ("<unk>", "<s>", "</s>")}
_BYTES = [f"<0x{value:02X}>" for value in range(256)]
"""SentencePiece's names for tokens of single bytes."""
_ASCII = [chr(code) for code in range(33, 127)]
"""Always tokens of their own, so that a text which spells a byte's name is not read as that byte."""
_RARE = -1e4
"""The score of marks and of tokens of bytes: below that of any piece, so that a text which spells one is no such."""
_LEAST_SEEN = 2
"""A piece that a corpus holds once says nothing of the next text."""
_TRAINED_ON = 1 << 28
"""Characters that a tokenizer is trained on, the first ones: a choice, more changes no word that is worth a token."""


_MOST_BYTES = 1 << 24
"""A choice: a tokenizer_config.json has some kilobytes, of many added tokens a megabyte."""


def train_decoder_tokenizer(documents: Documents, out: Path, *, kind: str, size: int, max_length: int) -> None:
    """Train a tokenizer on documents and save `tokenizer.json` and `tokenizer_config.json` in a directory.

    Args:
        documents: their first 268 million characters are read.
        out: the directory.
        kind: `bpe` or `unigram`.
        size: tokens of the vocabulary, special ones included.
        max_length: of the model, in tokens.

    Raises:
        UsageError: a size that the bytes have no room in, or that the documents cannot fill.
        DataError: there is no text.
    """
    from tokenizers import Tokenizer as Backend

    least = len(_SPECIAL[kind]) + 256 + (len(_ASCII) + 1 if kind == "unigram" else 0)
    if size < least:
        raise UsageError(f"a vocabulary of {size} tokens has no room for {least} of bytes and marks", hint="raise it")
    backend = _trained(_bpe() if kind == "bpe" else _unigram(), documents, kind, size)
    if kind == "unigram":
        backend = Backend.from_str(_with_bytes(backend, size))
    if backend.get_vocab_size() < size:
        what = f"the text gives {backend.get_vocab_size()} tokens, {size} were asked"
        raise UsageError(what, hint=f"give a vocabulary of {backend.get_vocab_size()}, or more text")
    _save(backend, out, kind, max_length)


def end_of(directory: Path) -> tuple[int, str]:
    """The number and the name of the token that ends a document, as a tokenizer's own directory names it.

    Raises:
        UsageError: it names none that the vocabulary has.
        TokenizerError: its files cannot be read.
    """
    from edgewright.text.tokenizer import Tokenizer

    vocabulary = Tokenizer(directory, 1).vocabulary
    named = _config(directory).get("eos_token")
    name = named.get("content") if isinstance(named, dict) else named
    found = next((one for one in (name, END_OF_TEXT, "</s>") if one in vocabulary), None)
    if found is None:
        what = f"the tokenizer in {directory} has no token that ends a document"
        raise UsageError(what, hint="name it as eos_token in tokenizer_config.json")
    return vocabulary[found], found


def _config(directory: Path) -> dict[str, Any]:
    path = directory / "tokenizer_config.json"
    if not path.is_file():
        return {}
    try:
        tree = json.loads(read_capped(path, _MOST_BYTES, TokenizerError).decode())
    except (OSError, ValueError, RecursionError) as error:
        raise TokenizerError(f"{path} cannot be read: {error}", hint="save the tokenizer again") from error
    return tree if isinstance(tree, dict) else {}


def _bpe() -> Any:
    from tokenizers import Tokenizer as Backend
    from tokenizers import decoders, models, pre_tokenizers

    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return backend


def _unigram() -> Any:
    from tokenizers import Tokenizer as Backend
    from tokenizers import decoders, models, normalizers, pre_tokenizers

    backend = Backend(models.Unigram())
    backend.normalizer = normalizers.Prepend(" ")
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    parts = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    backend.decoder = decoders.Sequence(parts)
    return backend


def _trained(backend: Any, documents: Documents, kind: str, size: int) -> Any:
    from tokenizers import pre_tokenizers, trainers

    special = list(_SPECIAL[kind])
    common: dict[str, Any] = {"show_progress": False, "special_tokens": special}
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer: Any = (
        trainers.BpeTrainer(vocab_size=size, min_frequency=_LEAST_SEEN, initial_alphabet=alphabet, **common)
        if kind == "bpe"
        else trainers.UnigramTrainer(
            vocab_size=size - len(_BYTES), unk_token=special[0], initial_alphabet=[*_ASCII, "▁"], **common
        )
    )
    texts = _Beginning(documents)
    try:
        backend.train_from_iterator(iter(texts), trainer)
    except EdgewrightError:
        raise
    except Exception as error:
        raise UsageError(f"{kind} of {size} tokens: {error}", hint="give a smaller vocabulary, or more text") from error
    if not texts.taken:
        raise DataError("there is no text to train on", hint="are the files empty?")
    return backend


class _Beginning:
    """The texts of the first documents."""

    def __init__(self, documents: Documents) -> None:
        self._documents, self.taken = documents, 0

    def __iter__(self) -> Any:
        for piece in self._documents:
            yield piece.text
            self.taken += len(piece.text)
            if self.taken >= _TRAINED_ON:
                return


def _with_bytes(backend: Any, size: int) -> str:
    """A trained Unigram with a token for each byte behind its special ones."""
    tree = json.loads(backend.to_str())
    special = _SPECIAL["unigram"]
    pieces = [piece for piece in tree["model"]["vocab"] if piece[0] not in special]
    vocabulary = [*([one, _RARE] for one in (*special, *_BYTES)), *pieces]
    tree["model"] |= {"vocab": vocabulary[:size], "byte_fallback": True, "unk_id": 0}
    return json.dumps(tree)


def _save(backend: Any, out: Path, kind: str, max_length: int) -> None:
    special = _SPECIAL[kind]
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": max_length,
        "model_input_names": ["input_ids", "attention_mask"],
        "clean_up_tokenization_spaces": False,
        **_roles(special),
    }
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / "tokenizer.json", backend.to_str(pretty=True).encode())
    write_whole(out / "tokenizer_config.json", json.dumps(config, indent=2, ensure_ascii=False).encode() + b"\n")


def _roles(special: Iterable[str]) -> dict[str, str]:
    names = list(special)
    if len(names) == 1:
        return {"bos_token": names[0], "eos_token": names[0], "unk_token": names[0]}
    return dict(zip(("unk_token", "bos_token", "eos_token"), names, strict=True))
