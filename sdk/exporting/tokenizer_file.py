"""tokenizer.bin: a tokenizer.json as a file that a program maps into memory and uses as it is, without parsing.

The file MUST begin with the eight bytes `EWTOK` NUL NUL 1, its size (u64), a checksum (u64) over all 32-bit words from
byte 32 on, and the number of sections (u32); four bytes of nothing, then for each section its offset (u64) and its size
in bytes (u64). Numbers are little-endian, sections begin at multiples of eight. `_SECTIONS` names them, in order.

Its reader is `ew_tokenizer.c`. What a tokenizer.json asks for beyond that is refused by name when the file is made.
"""

from __future__ import annotations

import json
import struct
from array import array
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from edgewright.errors import TokenizerError, UnsupportedConversion
from edgewright.exporting import unicode_tables
from edgewright.exporting.split_pattern import compiled
from edgewright.exporting.unicode_tables import CODE_POINTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["tokenizer_file"]

_MAGIC = b"EWTOK\0\0\1"
"""The last byte is the version, which goes up when an older reader would misread a file."""
_SECTIONS = (
    "normalizer", "pre_tokenizer", "parameters", "template", "pair_template", "strings", "pages", "properties",
    "grapheme_pages", "graphemes", "lower", "nfd", "nfkd", "compose", "vocabulary", "inner", "added", "added_raw",
    "added_normalized", "merges", "scores", "charsmap", "charsmap_strings", "tokens", "token_bytes", "token_flags",
    "byte_ids", "decoder",
)  # fmt: skip
"""Their order is the reader's."""
_PAGE = 128
"""Code points of a page; equal pages are stored once."""
_RANK_SHIFT = 26
"""Bits above are the place of a mark in canonical ordering, of which Unicode has 54."""
_MOST_IDS = 1 << 24
"""A choice: vocabularies have a quarter of a million tokens, an id far beyond would be a table of nothing."""

_END = 0
"""What stands behind the last operation of a list."""
_MAP, _SPACED, _DECOMPOSE, _COMPOSE, _DROP, _LOWER, _STRIP, _REPLACE, _REPLACE_PATTERN, _PREPEND, _CHARSMAP = range(
    1, 12
)
"""What normalizers do."""
_CLASS, _PATTERN, _LITERAL, _WORDS, _METASPACE, _LEADING_SPACE = range(20, 26)
"""What pre-tokenizers do."""
_WORDPIECE, _BPE, _UNIGRAM, _WORDLEVEL = range(4)
"""Models."""
_BEHAVIORS = {"removed": 0, "isolated": 1, "mergedwithprevious": 2, "mergedwithnext": 3, "contiguous": 4}
"""What becomes of what a pre-tokenizer splits at."""
_SCHEMES = {"always": 0, "first": 1, "never": 2}
"""When Metaspace puts a space in front."""
_JOINED, _PIECES, _BYTES, _SPACES, _STEPS = range(5)
"""Decoders: tokens with spaces between, WordPiece's, bytes, Metaspace's, and steps one after another."""
_GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
"""What the ByteLevel pre-tokenizer splits by."""
_NO_ID = -1
"""Of what is no token."""


def tokenizer_file(tokenizer: bytes | str, *, offsets: bool = True) -> bytes:
    """A tokenizer.json -> the bytes of tokenizer.bin.

    Args:
        tokenizer: what the file has.
        offsets: whether those of its tokens are asked for. Where they are not, as by a model that writes, a byte-level
            vocabulary may lack bytes: they are left out of a text, as `tokenizers` does, whose offsets then are none.

    Raises:
        TokenizerError: it is no tokenizer.json.
        UnsupportedConversion: it has a part that the file cannot carry.
    """
    from tokenizers import Tokenizer

    try:
        Tokenizer.from_buffer(tokenizer if isinstance(tokenizer, bytes) else tokenizer.encode())
        tree = json.loads(tokenizer)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # the library panics with what is no Exception
        raise TokenizerError(f"tokenizer.json does not load: {error}") from error
    return _Writer(tree, offsets=offsets).file()


def _refuse(part: str, what: Any) -> UnsupportedConversion:
    return UnsupportedConversion(
        f"tokenizer.bin cannot carry the {part} {what}", hint="the C core runs WordPiece, byte-level BPE and Unigram"
    )


@lru_cache(maxsize=64)
def _swept(name: str) -> NDArray[np.bool_]:  # noqa: PLR0911 - a line for each property
    """The code points of a property, by what it does: `remove NAME` and `space NAME` of a normalizer, or a class."""
    from tokenizers import normalizers, pre_tokenizers

    if name.startswith(("remove ", "space ")):
        what, _, kind = name.partition(" ")
        return _marked(_changes(kind), "" if what == "remove" else " ")
    if name.startswith("class "):
        return unicode_tables.matched(name[len("class ") :])
    if name == "wide":
        wide = normalizers.BertNormalizer(clean_text=False, strip_accents=False, lowercase=False)
        return unicode_tables.flags("".join(map(chr, unicode_tables.changed(wide.normalize_str))))
    if name == "space":
        return ~unicode_tables.left_over(pre_tokenizers.WhitespaceSplit())
    if name == "punctuation":
        return ~unicode_tables.left_over(pre_tokenizers.Punctuation("removed"))
    if name == "digit":
        return unicode_tables.separated(pre_tokenizers.Digits(individual_digits=False))
    before = {"word": "a", "mark": "!"}[name]
    return ~unicode_tables.separated(pre_tokenizers.Whitespace(), before)


def _marked(changes: Mapping[int, str], become: str) -> NDArray[np.bool_]:
    return unicode_tables.flags("".join(chr(code) for code, new in changes.items() if new == become != chr(code)))


@lru_cache(maxsize=16)
def _changes(kind: str) -> dict[int, str]:
    """What a normalizer makes of each code point by itself."""
    from tokenizers import normalizers

    made = {
        "clean": lambda: normalizers.BertNormalizer(handle_chinese_chars=False, strip_accents=False, lowercase=False),
        "accents": lambda: normalizers.BertNormalizer(
            clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False
        ),
        "StripAccents": normalizers.StripAccents,
        "Nmt": normalizers.Nmt,
        "Lowercase": normalizers.Lowercase,
        "NFD": normalizers.NFD,
        "NFKD": normalizers.NFKD,
    }[kind]()
    return unicode_tables.changed(made.normalize_str)


@lru_cache(maxsize=1)
def _ranks() -> dict[int, int]:
    from tokenizers.normalizers import NFD

    return unicode_tables.combining_ranks(NFD().normalize_str)


@lru_cache(maxsize=1)
def _compositions() -> dict[tuple[int, int], int]:
    from tokenizers.normalizers import NFC

    return unicode_tables.compositions(NFC().normalize_str, _changes("NFD"))


@lru_cache(maxsize=1)
def _graphemes() -> NDArray[np.uint16]:
    return unicode_tables.graphemes()


class _Writer:
    """Goes through a tokenizer.json from front to end, and collects what the sections hold."""

    def __init__(self, tree: dict[str, Any], *, offsets: bool) -> None:
        self.tree, self.offsets = tree, offsets
        self.sections: dict[str, bytes] = {}
        self.strings = bytearray()
        self.bits: dict[str, int] = {}
        self.forms: set[str] = set()
        self.byte_level = False
        self.trims = 0
        model = tree["model"]
        self.kind = model.get("type") or _kind_of(model)
        self.vocabulary = self._vocabulary(model)
        self.added: list[dict[str, Any]] = sorted(tree.get("added_tokens") or (), key=lambda one: int(one["id"]))
        self.tokens = {
            **{i: token for token, i in self.vocabulary.items()},
            **{a["id"]: a["content"] for a in self.added},
        }
        if max(self.tokens, default=0) >= _MOST_IDS:
            raise _refuse("id", max(self.tokens))

    def file(self) -> bytes:
        """Everything, in order."""
        self.sections["normalizer"] = _numbers([*self._normalizer(self.tree.get("normalizer")), _END])
        self.sections["pre_tokenizer"] = _numbers([*self._pre_tokenizer(self.tree.get("pre_tokenizer")), _END])
        self._post_processor(self.tree.get("post_processor"))
        self.sections["decoder"] = _numbers(self._decoder(self.tree.get("decoder")))
        self._model(self.tree["model"])
        self._added()
        self._tokens()
        self._unicode()
        self.sections["strings"] = bytes(self.strings)
        return _assembled([self.sections.get(name, b"") for name in _SECTIONS])

    def _text(self, text: str) -> list[int]:
        """Where a text lies among the strings, and its bytes."""
        data = text.encode()
        at = self.strings.find(data)
        if at < 0:
            at = len(self.strings)
            self.strings += data
        return [at, len(data)]

    def _bit(self, name: str) -> int:
        if name not in self.bits and len(self.bits) == _RANK_SHIFT:
            raise _refuse("tokenizer", f"with more than {_RANK_SHIFT} classes of characters")
        return self.bits.setdefault(name, len(self.bits))

    def _class(self, name: str) -> int:
        return self._bit(f"class {name}")

    # What comes before the model

    def _normalizer(self, part: Any) -> list[int]:  # noqa: C901, PLR0911 - a line for each kind
        if part is None:
            return []
        kind = part["type"]
        if kind == "Sequence":
            return [number for one in part["normalizers"] for number in self._normalizer(one)]
        if kind == "BertNormalizer":
            return self._bert(part)
        if kind in ("NFC", "NFD", "NFKC", "NFKD"):
            return self._form(kind)
        if kind == "Lowercase":
            self.forms.add("lower")
            return [_LOWER, self._bit("lower")]
        if kind == "StripAccents":
            return [_DROP, self._bit("remove StripAccents")]
        if kind == "Nmt":
            return [_MAP, self._bit("remove Nmt"), self._bit("space Nmt")]
        if kind == "Strip":
            return [_STRIP, self._bit("space"), int(part["strip_left"]), int(part["strip_right"])]
        if kind == "Prepend":
            return [_PREPEND, *self._text(part["prepend"])]
        if kind == "Replace":
            return self._replace(part)
        if kind == "Precompiled":
            return self._charsmap(part["precompiled_charsmap"])
        raise _refuse("normalizer", kind)

    def _bert(self, part: Mapping[str, Any]) -> list[int]:
        strip = part["lowercase"] if part["strip_accents"] is None else part["strip_accents"]
        found = [_MAP, self._bit("remove clean"), self._bit("space clean")] if part["clean_text"] else []
        found += [_SPACED, self._bit("wide")] if part["handle_chinese_chars"] else []
        found += [*self._form("NFD"), _DROP, self._bit("remove accents")] if strip else []
        return found + (self._normalizer({"type": "Lowercase"}) if part["lowercase"] else [])

    def _form(self, kind: str) -> list[int]:
        table = "nfkd" if "K" in kind else "nfd"
        self.forms |= {table, "compose"} if kind.endswith("C") else {table}
        found = [_DECOMPOSE, int(table == "nfkd"), self._bit(table)]
        return [*found, _COMPOSE] if kind.endswith("C") else found

    def _replace(self, part: Mapping[str, Any]) -> list[int]:
        pattern, content = part["pattern"], self._text(part["content"])
        if "String" in pattern:
            return [_REPLACE, *self._text(pattern["String"]), *content]
        program = compiled(pattern["Regex"], self._class)
        return [_REPLACE_PATTERN, *content, len(program), *program]

    def _charsmap(self, encoded: str | None) -> list[int]:
        import base64

        if not encoded:
            return []
        data = base64.b64decode(encoded)
        (size,) = struct.unpack_from("<I", data)
        self.sections["charsmap"], self.sections["charsmap_strings"] = data[4 : 4 + size], data[4 + size :]
        pages, properties = _paged(_graphemes(), "<u2")
        self.sections["grapheme_pages"], self.sections["graphemes"] = pages, properties
        return [_CHARSMAP]

    def _pre_tokenizer(self, part: Any) -> list[int]:  # noqa: C901, PLR0911 - a line for each kind
        if part is None:
            return []
        kind = part["type"]
        if self.byte_level:
            raise _refuse("pre-tokenizer", f"{kind} behind ByteLevel")
        if kind == "Sequence":
            return [number for one in part["pretokenizers"] for number in self._pre_tokenizer(one)]
        if kind == "BertPreTokenizer":
            return [_CLASS, self._bit("space"), 0, _CLASS, self._bit("punctuation"), 1]
        if kind == "WhitespaceSplit":
            return [_CLASS, self._bit("space"), 0]
        if kind == "Punctuation":
            return [_CLASS, self._bit("punctuation"), _BEHAVIORS[part["behavior"].lower()]]
        if kind == "Digits":
            return [_CLASS, self._bit("digit"), 1 if part["individual_digits"] else 4]
        if kind == "Whitespace":
            return [_WORDS, self._bit("word"), self._bit("mark")]
        if kind == "Metaspace":
            return [_METASPACE, ord(part["replacement"]), _SCHEMES[_scheme(part)], int(part.get("split", True))]
        if kind == "Split":
            return self._split(part["pattern"], _BEHAVIORS[part["behavior"].lower()], inverted=bool(part["invert"]))
        if kind == "ByteLevel":
            found = [_LEADING_SPACE] if part["add_prefix_space"] else []
            found += self._split({"Regex": _GPT2}, 1, inverted=False) if part.get("use_regex", True) else []
            self.byte_level = True
            return found
        raise _refuse("pre-tokenizer", kind)

    def _split(self, pattern: Mapping[str, str], behavior: int, *, inverted: bool) -> list[int]:
        if "String" in pattern:
            return [_LITERAL, behavior, int(inverted), *self._text(pattern["String"])]
        program = compiled(pattern["Regex"], self._class)
        return [_PATTERN, behavior, int(inverted), len(program), *program]

    # What comes behind it

    def _post_processor(self, part: Any) -> None:
        single, double = [(0, 0, 0)], [(0, 0, 0), (1, 0, 0)]
        for one in [part] if part is None or part["type"] != "Sequence" else part["processors"]:
            if one is None:
                continue
            kind = one["type"]
            if kind == "TemplateProcessing":
                single, double = (self._template(one, side) for side in ("single", "pair"))
            elif kind in ("BertProcessing", "RobertaProcessing"):
                begin, end, later = one["cls"][1], one["sep"][1], int(kind == "BertProcessing")
                single = [(2, begin, 0), (0, 0, 0), (2, end, 0)]
                middle = [] if later else [(2, end, 0)]
                double = [*single, *middle, (1, 0, later), (2, end, later)]
            elif kind != "ByteLevel":
                raise _refuse("post-processor", kind)
            if kind in ("ByteLevel", "RobertaProcessing") and one.get("trim_offsets", True):
                self.trims = 2 if one.get("add_prefix_space", True) else 1
        self.sections["template"] = _numbers([number for piece in single for number in piece])
        self.sections["pair_template"] = _numbers([number for piece in double for number in piece])

    def _template(self, part: Mapping[str, Any], side: str) -> list[tuple[int, int, int]]:
        """Pieces: 0 and 1 are the texts, 2 a special token with its id; then the type of its tokens."""
        found = []
        for piece in part[side]:
            ((kind, one),) = piece.items()
            if kind == "Sequence":
                found.append((int(one["id"] == "B"), 0, int(one["type_id"])))
            else:
                ids = part["special_tokens"][one["id"]]["ids"]
                found += [(2, int(i), int(one["type_id"])) for i in ids]
        texts = [kind for kind, _, _ in found if kind < 2]
        if texts != ([0] if side == "single" else [0, 1]):
            raise _refuse("template", f"in which the texts are {texts}")
        return found

    def _decoder(self, part: Any) -> list[int]:
        if part is None:
            return [_JOINED]
        kind = part["type"]
        if kind == "WordPiece":
            return [_PIECES, *self._text(part["prefix"]), int(part["cleanup"])]
        if kind == "ByteLevel":
            return [_BYTES]
        if kind == "Metaspace":
            return [_SPACES, ord(part["replacement"]), int(_scheme(part) != "never")]
        steps = part["decoders"] if kind == "Sequence" else [part]
        kinds = [step["type"] for step in steps]
        if kinds[-1:] == ["Metaspace"] and all("String" in step.get("pattern", ()) for step in steps[:-1]):
            steps = self._spaced(steps)
        return [_STEPS, *(number for step in steps for number in self._step(step)), _END]

    def _spaced(self, steps: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Steps whose last one is Metaspace, by those that any decoder may have.

        They are the same as long as spaces stand at the beginning of tokens alone, as the way of the first is another.
        """
        *first, last = steps
        space = last["replacement"]
        for token in self.tokens.values():
            said = token
            for step in first:
                said = said.replace(step["pattern"]["String"], step["content"])
            if said.startswith(" ") or space in said[1:]:
                raise _refuse("decoder", f"Metaspace behind others with the token {token!r}")
        found = [*first, {"type": "Replace", "pattern": {"String": space}, "content": " "}]
        if _scheme(last) != "never":
            found += [{"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]
        return found

    def _step(self, step: Mapping[str, Any]) -> list[int]:
        kind = step["type"]
        if kind == "Replace":
            replaced = step["pattern"].get("String", "")  # a regular expression has another key, and is none
            if replaced and len(step["content"].encode()) <= len(replaced.encode()):
                return [1, *self._text(replaced), *self._text(step["content"])]
        if kind == "ByteFallback":
            return [2]
        if kind == "Fuse":
            return [3]
        if kind == "Strip":
            return [4, ord(step["content"]), int(step["start"]), int(step["stop"])]
        raise _refuse("decoder", kind)

    # The model

    def _vocabulary(self, model: Mapping[str, Any]) -> dict[str, int]:
        if self.kind == "Unigram":
            return {token: at for at, (token, _) in enumerate(model["vocab"])}
        return {token: int(at) for token, at in model["vocab"].items()}

    def _model(self, model: Mapping[str, Any]) -> None:
        unknown, most, prefix, kind, choices = _NO_ID, 0, "", -1, 0
        if self.kind == "WordPiece":
            kind, most, prefix = _WORDPIECE, int(model["max_input_chars_per_word"]), model["continuing_subword_prefix"]
            unknown = self._unknown(model["unk_token"])
            inner = {token[len(prefix) :]: i for token, i in self.vocabulary.items() if token.startswith(prefix)}
            self.sections["inner"] = _trie(inner)
        elif self.kind == "BPE":
            kind, choices = _BPE, self._bpe(model)
            unknown = _NO_ID if model.get("unk_token") is None else self._unknown(model["unk_token"])
            self._check_bytes(unknown)
        elif self.kind == "Unigram":
            kind, choices = _UNIGRAM, (1 << 1) | int(bool(model.get("byte_fallback"))) << 2
            if model.get("unk_id") is None:
                raise _refuse("model", "Unigram without a token for what is unknown")
            unknown = int(model["unk_id"])
            self.sections["scores"] = np.array([score for _, score in model["vocab"]], "<f8").tobytes()
        elif self.kind == "WordLevel":
            kind, unknown = _WORDLEVEL, self._unknown(model["unk_token"])
        else:
            raise _refuse("model", self.kind)
        self.sections["vocabulary"] = _trie(self.vocabulary)
        sizes = [self.byte_level, choices & 1, choices >> 1 & 1, choices >> 2 & 1, self.trims]
        self.sections["parameters"] = _numbers(
            [kind, unknown, most, max(self.tokens, default=-1) + 1, *map(int, sizes), *self._text(prefix)]
        )
        self._bytes()

    def _unknown(self, token: str) -> int:
        if token not in self.vocabulary:
            raise _refuse("model", f"whose unknown token {token!r} is not in its vocabulary")
        return self.vocabulary[token]

    def _bpe(self, model: Mapping[str, Any]) -> int:
        for name in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
            if model.get(name):
                raise _refuse("model", f"with {name} {model[name]!r}")
        merges = []
        for rank, merge in enumerate(model["merges"]):
            first, second = merge.split(" ") if isinstance(merge, str) else merge
            merges.append((self.vocabulary[first], self.vocabulary[second], rank, self.vocabulary[first + second]))
        self.sections["merges"] = _hashed(merges)
        return (
            int(bool(model.get("ignore_merges")))
            | int(bool(model.get("fuse_unk"))) << 1
            | int(bool(model.get("byte_fallback"))) << 2
        )

    def _check_bytes(self, unknown: int) -> None:
        missing = [byte for byte, one in _byte_characters().items() if one not in self.vocabulary]
        if self.offsets and self.byte_level and missing and unknown == _NO_ID:
            raise _refuse(
                "vocabulary", f"without a token for {len(missing)} of the 256 bytes, the first being {missing[0]}"
            )

    def _bytes(self) -> None:
        """The ids of single bytes, the characters that stand for them at byte level, and for these their bytes."""
        names = _byte_characters() if self.byte_level else {byte: f"<0x{byte:02X}>" for byte in range(256)}
        ids = [self.vocabulary.get(names[byte], _NO_ID) for byte in range(256)]
        back = {ord(one): byte for byte, one in _byte_characters().items()}
        characters = [ord(_byte_characters()[byte]) for byte in range(256)]
        self.sections["byte_ids"] = _numbers(
            [*ids, *characters, *(back.get(code, _NO_ID) for code in range(max(back) + 1))]
        )

    def _added(self) -> None:
        raw: dict[str, int] = {}
        normalized: dict[str, int] = {}
        records: list[int] = []
        for place, token in enumerate(self.added):
            marks = [token["lstrip"], token["rstrip"], token["single_word"], token["normalized"], token["special"]]
            if any(marks[:2]) or self.trims:
                self._bit("space")
            records += [int(token["id"]), sum(bool(mark) << at for at, mark in enumerate(marks))]
            if token["single_word"]:
                self._class(r"\w")
            if token["content"]:
                text = self._normalized(token["content"]) if token["normalized"] else token["content"]
                (normalized if token["normalized"] else raw)[text] = place
        words = (self.bits.get("space", _NO_ID), self.bits.get(r"class \w", _NO_ID))
        self.sections["added"] = _numbers([*words, *records])
        self.sections["added_raw"], self.sections["added_normalized"] = _trie(raw), _trie(normalized)

    def _normalized(self, text: str) -> str:
        from tokenizers import Tokenizer

        normalizer = Tokenizer.from_str(json.dumps({**self.tree, "padding": None, "truncation": None})).normalizer
        return text if normalizer is None else str(normalizer.normalize_str(text))

    def _tokens(self) -> None:
        count = max(self.tokens, default=-1) + 1
        special = {token["id"] for token in self.added if token["special"]}
        added = {token["id"] for token in self.added}
        texts = [self.tokens.get(i, "") for i in range(count)]
        data = [text.encode() for text in texts]
        offsets = np.cumsum([0, *map(len, data)]) if data else np.zeros(1)
        self.sections["tokens"], self.sections["token_bytes"] = offsets.astype("<u4").tobytes(), b"".join(data)
        spaces = "".join(map(chr, np.flatnonzero(_swept("space")))) + _byte_characters()[32] if self.trims else ""
        marks = [(i in special) | (i in added) << 1 | (i in self.tokens) << 2 for i in range(count)]
        if self.trims:
            marks = [mark | _ends(text, spaces) for mark, text in zip(marks, texts, strict=True)]
        self.sections["token_flags"] = _numbers(marks)

    # Tables

    def _unicode(self) -> None:
        every = np.zeros(CODE_POINTS, np.uint32)
        tables = {"lower": "Lowercase", "nfd": "NFD", "nfkd": "NFKD"}
        for name, bit in self.bits.items():
            if name in tables:
                changes = _changes(tables[name])
                self.sections[name] = _mapping(changes)
                set_ = unicode_tables.flags("".join(map(chr, changes)))
            else:
                set_ = _swept(name)
            every |= set_.astype(np.uint32) << np.uint32(bit)
        if self.forms & {"nfd", "nfkd"}:
            for code, rank in _ranks().items():
                every[code] |= rank << _RANK_SHIFT
        if "compose" in self.forms:
            self.sections["compose"] = _pairs(_compositions())
        self.sections["pages"], self.sections["properties"] = _paged(every, "<u4")


def _scheme(metaspace: Mapping[str, Any]) -> str:
    """When it puts a space in front; older files say it in another way."""
    return metaspace.get("prepend_scheme") or ("always" if metaspace.get("add_prefix_space", True) else "never")


def _kind_of(model: Mapping[str, Any]) -> str:
    """The kind of a model that does not say it, as older files do not."""
    if "merges" in model:
        return "BPE"
    if isinstance(model.get("vocab"), list):
        return "Unigram"
    return "WordPiece" if "continuing_subword_prefix" in model else "WordLevel"


@lru_cache(maxsize=1)
def _byte_characters() -> dict[int, str]:
    """The characters that stand for bytes in GPT-2's vocabulary: printable ones for themselves, others from 256 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {**{byte: chr(byte) for byte in printable}, **{byte: chr(256 + at) for at, byte in enumerate(others)}}


def _ends(token: str, spaces: str) -> int:
    """How many characters at each end of a token are spaces, for offsets that leave them out; at bit 8 and at 16."""
    lead, tail = len(token) - len(token.lstrip(spaces)), len(token) - len(token.rstrip(spaces))
    return min(lead, 255) << 8 | min(tail, 255) << 16


def _numbers(values: Iterable[int]) -> bytes:
    return array("I", [int(value) & 0xFFFFFFFF for value in values]).tobytes()


def _paged(values: NDArray[Any], dtype: str) -> tuple[bytes, bytes]:
    """A table over all code points as the numbers of its pages and the pages themselves, each once."""
    pages, numbers = np.unique(values.reshape(-1, _PAGE), axis=0, return_inverse=True)
    return numbers.ravel().astype("<u2").tobytes(), pages.astype(dtype).tobytes()


def _mapping(changes: Mapping[int, str]) -> bytes:
    """How many, the code points in order, where the texts begin, and the texts as code points; without Hangul."""
    kept = {code: new for code, new in sorted(changes.items()) if not 0xAC00 <= code <= 0xD7A3}
    starts = np.cumsum([0, *map(len, kept.values())]).tolist()
    return _numbers([len(kept), *kept, *starts, *(ord(one) for new in kept.values() for one in new)])


def _pairs(made: Mapping[tuple[int, int], int]) -> bytes:
    rows = sorted((*pair, whole) for pair, whole in made.items())
    return _numbers([len(rows), *(row[at] for at in range(3) for row in rows)])


def _trie(words: Mapping[str, int]) -> bytes:
    """A trie over bytes, breadth first: the nodes, where each one's children begin, its value or -1, and its byte.

    The children of a node are neighbours, in the order of their bytes; node 0 is the root.
    """
    keys = sorted((text.encode("utf-8", "surrogatepass"), value) for text, value in words.items() if text)
    firsts, values, labels = array("I"), array("i", [_NO_ID]), bytearray(1)
    nodes = [(0, len(keys), 0)]  # each the keys from one to another that have so many bytes in common
    for begin, end, depth in nodes:
        firsts.append(len(labels))
        at = begin
        while at < end:
            byte, stop = keys[at][0][depth], at + 1
            while stop < end and keys[stop][0][depth] == byte:
                stop += 1
            whole = len(keys[at][0]) == depth + 1
            labels.append(byte)
            values.append(keys[at][1] if whole else _NO_ID)
            nodes.append((at + whole, stop, depth + 1))
            at = stop
    firsts.append(len(labels))
    return _numbers([len(labels)]) + firsts.tobytes() + values.tobytes() + bytes(labels)


def _hashed(merges: Sequence[tuple[int, int, int, int]]) -> bytes:
    """Merges (first, second, rank, whole) by open addressing: how many slots less one, then four numbers a slot."""
    slots = 1 << max(len(merges) * 2, 1).bit_length()
    table = array("I", [0xFFFFFFFF]) * (4 * slots)
    for merge in merges:
        at = _slot(merge[0], merge[1]) & slots - 1
        while table[4 * at] != 0xFFFFFFFF:
            at = at + 1 & slots - 1
        table[4 * at : 4 * at + 4] = array("I", merge)
    return _numbers([slots - 1]) + table.tobytes()


def _slot(first: int, second: int) -> int:
    mixed = (first * 0x9E3779B1 ^ second * 0x85EBCA6B) & 0xFFFFFFFF
    return mixed ^ mixed >> 15


def _assembled(sections: Sequence[bytes]) -> bytes:
    head = 32 + 16 * len(sections)
    table, body = [], bytearray()
    for data in sections:
        table += [head + len(body), len(data)]
        body += data + bytes(-len(data) % 8)
    rest = struct.pack("<2I", len(sections), 0) + struct.pack(f"<{len(table)}Q", *table) + bytes(body)
    return _MAGIC + struct.pack("<2Q", 24 + len(rest), _checksum(rest[8:])) + rest


def _checksum(data: bytes) -> int:
    """Two sums of 32-bit words, as Fletcher has them, modulo 2 ** 32: what changes in a file shows."""
    words = np.frombuffer(data, "<u4").astype(np.uint64)
    first = words.cumsum(dtype=np.uint64) & np.uint64(0xFFFFFFFF)
    low, high = int(first[-1]), int(first.sum(dtype=np.uint64)) & 0xFFFFFFFF
    return high << 32 | low
