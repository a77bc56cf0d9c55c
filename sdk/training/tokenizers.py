"""Tokenizers trained on a corpus: byte-level BPE, WordPiece and Unigram, saved as the `tokenizer.json` used everywhere.

- `bpe`: byte-level byte-pair encoding (Sennrich et al. 2016, arXiv 1508.07909; Radford et al. 2019, section 2.2), with
  RoBERTa's special tokens. Every text has tokens, and `decode` gives it back to the byte.
- `wordpiece`: BERT's (Wu et al. 2016, arXiv 1609.08144, section 4.1), with BERT's special tokens and normalizer.
- `unigram`: SentencePiece's (Kudo 2018, arXiv 1804.10959), over NFKC, with RoBERTa's special tokens. Its library adds
  up in no fixed order, so that two trainings differ in the third digit of the scores; the other two are reproducible.

A corpus is read piece by piece; what is held is the words and how often they occur.
"""

from __future__ import annotations

import codecs
import json
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgewright.data import rows as data
from edgewright.errors import DataError, EdgewrightError, StorageError, TokenizerError, UsageError
from edgewright.system.files import plain, write_whole
from edgewright.system.progress import silent
from edgewright.system.shown import brief
from edgewright.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["KINDS", "TrainedTokenizer", "train_tokenizer"]

KINDS = ("bpe", "wordpiece", "unigram")
_BERT = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
_ROBERTA = {
    "bos_token": "<s>",
    "pad_token": "<pad>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "mask_token": "<mask>",
    "cls_token": "<s>",
    "sep_token": "</s>",
}
_LEAST_SEEN = 2
"""A piece that a corpus holds once says nothing of the next text."""
_MOST_CHARACTERS = 1000
"""A choice: the alphabets of Europe and some hundred ideographs; the rest goes to unknown or to bytes."""
_PIECE_BYTES = 1 << 20
"""What is read of a line at once: a choice, so that a corpus in one line does not fill the memory."""
_SAMPLED = 1000
"""Texts: a choice, enough for the digits shown, and soon done."""


@dataclass(frozen=True)
class TrainedTokenizer:
    """A tokenizer that was trained and saved.

    Attributes:
        tokens: of its vocabulary, special ones included.
        texts: lines or rows of the corpus.
        tokens_per_word: over the first 1000 texts, special tokens left out; a word is what stands between spaces.
        unknown: the share of unknown tokens among them.
    """

    directory: Path
    kind: str
    tokens: int
    texts: int
    tokens_per_word: float
    unknown: float

    def __repr__(self) -> str:
        return brief(self, self.directory.name, self.kind, f"{self.tokens} tokens", f"{self.texts} texts")


def train_tokenizer(
    corpus: Sequence[str | Path],
    out: str | Path,
    *,
    kind: str,
    size: int,
    lower_case: bool = False,
    special: Sequence[str] = (),
    max_length: int = 512,
    force: bool = False,
    progress: Callable[[str], None] = silent,
) -> TrainedTokenizer:
    """Train a tokenizer and save `tokenizer.json` and `tokenizer_config.json`, which transformers' AutoTokenizer reads.

    Args:
        corpus: files: a text a line, or .tsv, .jsonl and SQuAD's .json with texts in their rows.
        out: the directory to make.
        kind: `bpe`, `wordpiece` or `unigram`.
        size: tokens of the vocabulary, special ones included.
        lower_case: read texts in lower case; with WordPiece without accents too.
        special: tokens of one's own that no text is cut through.
        max_length: of the model, for the configuration.
        force: write into a directory that has files.
        progress: called with a short phrase at each stage.

    Raises:
        UsageError: no such kind, or a size that the corpus's characters do not fit in or that it cannot fill.
        DataError: the corpus has no text, or cannot be read.
        StorageError: `out` has files, or cannot be written.
    """
    if kind not in KINDS:
        raise UsageError(f"unknown kind of tokenizer {kind!r}", hint=f"choose from {', '.join(KINDS)}")
    target = _free(Path(out), force=force)
    names = _BERT if kind == "wordpiece" else _ROBERTA
    specials = list(dict.fromkeys([*names.values(), *special]))
    backend = _untrained(kind, lower_case=lower_case)
    progress("read the corpus's characters")
    characters, texts = _characters(backend, corpus)
    alphabet = _alphabet(kind, characters)
    if size < len(specials) + len(alphabet):
        what = f"{size} tokens have no room for {len(specials)} special tokens and {len(alphabet)} of single characters"
        raise UsageError(what, hint=f"give a size over {len(specials) + len(alphabet)}, or lower the case")
    progress(f"train on {texts} texts")
    vocabulary = _train(backend, kind, corpus, size, specials, alphabet)
    if vocabulary < size:
        what = f"the corpus of {texts} texts gives {vocabulary} tokens, {size} were asked"
        raise UsageError(what, hint=f"give a size of at most {vocabulary}, or more text")
    backend = _finished(backend, kind, specials, names)
    _save(backend, target, names, max_length, kind)
    return _measured(target, kind, vocabulary, texts, corpus, max_length)


def _free(out: Path, *, force: bool) -> Path:
    if out.exists() and not out.is_dir():
        raise StorageError(f"{out} is a file", hint="choose another place")
    if out.is_dir() and any(out.iterdir()) and not force:
        raise StorageError(f"{out} is not empty", hint="choose another place, or use --force")
    return out


def _read(corpus: Sequence[str | Path]) -> Iterator[str]:
    """Every text of the corpus, none longer than 1 MiB. Raises DataError."""
    for path in map(Path, corpus):
        for text in _cells(path) if data.is_table(path) else _lines(path):
            yield text.encode(errors="replace").decode()


def _cells(path: Path) -> Iterator[str]:
    for found in data.items(path):
        yield from [found] if isinstance(found, str) else map(str, found.values())


def _lines(path: Path) -> Iterator[str]:
    try:
        encoding = data.opened(path).encoding
        decoder = codecs.getincrementaldecoder(encoding)()  # a piece may end within a character
        with plain(path) as file:
            while piece := file.readline(_PIECE_BYTES):
                text = decoder.decode(piece).strip("\r\n")
                if text.strip():
                    yield text
        if left := decoder.decode(b"", final=True).strip():
            yield left
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error


def _characters(backend: Any, corpus: Sequence[str | Path]) -> tuple[Counter[str], int]:
    """How often each character occurs once texts are normalized, and the number of texts."""
    found: Counter[str] = Counter()
    texts = 0
    for texts, text in enumerate(_read(corpus), start=1):  # noqa: B007 - the last number is kept
        found.update(backend.normalizer.normalize_str(text) if backend.normalizer else text)
    if not texts:
        raise DataError(
            f"{', '.join(map(str, corpus))} holds no text", hint="a text a line is read, or rows with texts"
        )
    return found, texts


def _alphabet(kind: str, characters: Counter[str]) -> list[str]:
    """The tokens of single characters, sorted: every byte, or the commonest characters of the corpus."""
    if kind == "bpe":
        from tokenizers.pre_tokenizers import ByteLevel

        return sorted(ByteLevel.alphabet())
    common = [c for c, seen in characters.most_common(_MOST_CHARACTERS) if seen >= _LEAST_SEEN and not c.isspace()]
    inner = [f"##{c}" for c in common if c.isalnum()] if kind == "wordpiece" else ["▁"]
    return sorted(common) + sorted(inner)


def _untrained(kind: str, *, lower_case: bool) -> Any:
    from tokenizers import Tokenizer as Backend
    from tokenizers import decoders, models, normalizers, pre_tokenizers

    lower = [normalizers.Lowercase()] if lower_case else []
    if kind == "wordpiece":
        backend = Backend(models.WordPiece(unk_token=_BERT["unk_token"]))
        backend.normalizer = normalizers.BertNormalizer(lowercase=lower_case)
        backend.pre_tokenizer, backend.decoder = pre_tokenizers.BertPreTokenizer(), decoders.WordPiece()
    elif kind == "bpe":
        backend = Backend(models.BPE())
        if lower:
            backend.normalizer = normalizers.Sequence(lower)
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = decoders.ByteLevel()
    else:
        backend = Backend(models.Unigram())
        backend.normalizer = normalizers.Sequence([normalizers.NFKC(), *lower])
        backend.pre_tokenizer, backend.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    return backend


def _train(
    backend: Any, kind: str, corpus: Sequence[str | Path], size: int, specials: list[str], alphabet: list[str]
) -> int:
    """Train in place; give the number of tokens that came of it. Raises UsageError where the library gives up."""
    from tokenizers import trainers

    given: dict[str, Any] = {"vocab_size": size, "show_progress": False, "special_tokens": specials}
    frequent = {**given, "min_frequency": _LEAST_SEEN}
    trainer: Any
    if kind == "unigram":
        trainer = trainers.UnigramTrainer(**given, unk_token=_ROBERTA["unk_token"], initial_alphabet=alphabet)
    elif kind == "bpe":
        trainer = trainers.BpeTrainer(**frequent, initial_alphabet=alphabet)
    else:
        # The library numbers characters as a hash map gives them, and breaks ties by number: ours come in order.
        first = {**frequent, "special_tokens": [*specials, *alphabet]}
        trainer = trainers.WordPieceTrainer(**first, limit_alphabet=0)
    try:
        backend.train_from_iterator(_read(corpus), trainer)
    except EdgewrightError:
        raise
    except Exception as error:
        raise UsageError(f"{kind} of {size} tokens: {error}", hint="give a larger size, or more text") from error
    return int(backend.get_vocab_size())


def _finished(trained: Any, kind: str, specials: Sequence[str], names: dict[str, str]) -> Any:
    """A tokenizer with the trained model, the special tokens and their places around a text or a pair."""
    from tokenizers import AddedToken, models, processors
    from tokenizers import Tokenizer as Backend

    if kind == "wordpiece":
        # The alphabet was given as special tokens, which only a fresh tokenizer forgets.
        backend = Backend(models.WordPiece(trained.get_vocab(), unk_token=_BERT["unk_token"]))
        backend.normalizer, backend.pre_tokenizer = trained.normalizer, trained.pre_tokenizer
        backend.decoder, pair = trained.decoder, "[CLS] $A [SEP] $B:1 [SEP]:1"
    else:
        backend, pair = trained, "<s> $A </s> </s> $B </s>"
    mask = names["mask_token"]
    backend.add_special_tokens(
        [AddedToken(one, special=True, lstrip=one == mask and kind != "wordpiece") for one in specials]
    )
    ends = [(names[role], backend.token_to_id(names[role])) for role in ("cls_token", "sep_token")]
    single = f"{ends[0][0]} $A {ends[1][0]}"
    backend.post_processor = processors.TemplateProcessing(single=single, pair=pair, special_tokens=ends)
    return backend


def _save(backend: Any, out: Path, names: dict[str, str], max_length: int, kind: str) -> None:
    inputs = (
        ["input_ids", "token_type_ids", "attention_mask"] if kind == "wordpiece" else ["input_ids", "attention_mask"]
    )
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": max_length,
        "model_input_names": inputs,
        "clean_up_tokenization_spaces": False,
        **names,
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot make {out}: {error.strerror or error}", hint="choose another place") from error
    write_whole(out / "tokenizer.json", backend.to_str(pretty=True).encode())
    write_whole(out / "tokenizer_config.json", json.dumps(config, indent=2, ensure_ascii=False).encode() + b"\n")


def _measured(
    out: Path, kind: str, tokens: int, texts: int, corpus: Sequence[str | Path], max_length: int
) -> TrainedTokenizer:
    """What the saved tokenizer, opened as any other, makes of the first texts."""
    tokenizer = Tokenizer(out, max_length)
    tokenizer.limit(_PIECE_BYTES)
    words = pieces = unknown = 0
    for text in islice(_read(corpus), _SAMPLED):
        try:
            encoding = tokenizer.encode([text])
        except TokenizerError:
            continue
        ids = [i for i, s in zip(encoding.feeds["input_ids"][0], encoding.sequences[0], strict=True) if s is not None]
        pieces += len(ids)
        words += len(text.split())
        unknown += sum(int(i) == tokenizer.unknown_id for i in ids)
    return TrainedTokenizer(
        out, kind, tokens, texts, round(pieces / max(words, 1), 3), round(unknown / max(pieces, 1), 6)
    )
