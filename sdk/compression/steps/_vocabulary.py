"""Which tokens a tokenizer can do without, and its files without them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from edgewright.errors import UsageError
from edgewright.model.two_sided import TARGET_MARK

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

__all__ = ["KINDS", "choose", "rewrite"]

KINDS = ("WordPiece", "BPE", "Unigram")


def _pieces(model: Mapping[str, Any]) -> dict[str, int]:
    """Every token of a model in tokenizer.json, and its id."""
    vocab = model["vocab"]
    return dict(vocab) if isinstance(vocab, dict) else {piece: at for at, (piece, _) in enumerate(vocab)}


def _merges(model: Mapping[str, Any]) -> list[tuple[str, str]]:
    pairs = (merge.split(" ", 1) if isinstance(merge, str) else merge for merge in model.get("merges", ()))
    return [(left, right) for left, right in pairs]


def choose(spec: Mapping[str, Any], used: Counter[int], size: int, named: Collection[int] = ()) -> list[int]:
    """The ids to keep, ascending: special and named ones, all single characters and bytes, then those used most.

    Where a model merges pairs (BPE), what a kept token is merged from is kept too. `size` 0 keeps all that are used.
    Every text whose tokens are all kept is tokenized as before: the longest match, the best path and the merges that
    gave its tokens are still there, and only others are gone.

    Raises:
        UsageError: `size` is below what must be kept, the tokenizer is of another kind, or it lacks a named token.
    """
    model = spec["model"]
    if model["type"] not in KINDS:
        raise UsageError(f"a {model['type']} vocabulary cannot be trimmed", hint=f"known: {', '.join(KINDS)}")
    pieces = _pieces(model)
    prefix = model.get("continuing_subword_prefix") or ""
    added = {token["id"] for token in spec.get("added_tokens", ())}
    strange = sorted({*named} - added - {*pieces.values()})
    if strange:
        what = (
            f"the model names token {strange[0]}, its tokenizer has {len(added | {*pieces.values()})} and not that one"
        )
        raise UsageError(what, hint="mend config.json and generation_config.json")
    single = {at for piece, at in pieces.items() if _is_single(piece.removeprefix(prefix))}
    unknown = {pieces[model["unk_token"]]} if model.get("unk_token") in pieces else set()
    unknown |= {model["unk_id"]} if model.get("unk_id") is not None else set()
    always = added | single | unknown | _worst(model) | {*named}
    parents = _parents(model, pieces)
    kept = set(always)
    for at, _ in used.most_common():
        closed = _closed(at, parents) - kept
        if size and len(kept) + len(closed) > size:
            continue
        kept |= closed
    if size and len(always) > size:
        raise UsageError(
            f"{len(always)} tokens are special or single characters, {size} shall be kept", hint="keep more"
        )
    return sorted(kept)


def _is_single(piece: str) -> bool:
    """Whether it is a character or a byte, on either side."""
    return len(piece.removeprefix(TARGET_MARK)) <= 1 or (
        len(piece) == 6 and piece.startswith("<0x") and piece[5] == ">"
    )


def _worst(model: Mapping[str, Any]) -> set[int]:
    """The least likely of unigrams: how likely an unknown character is is told by it."""
    scores = [] if isinstance(model["vocab"], dict) else [score for _, score in model["vocab"]]
    return {scores.index(min(scores))} if scores else set()


def _parents(model: Mapping[str, Any], pieces: Mapping[str, int]) -> dict[int, set[int]]:
    """For each token the ids that its merges begin with."""
    found: dict[int, set[int]] = {}
    for left, right in _merges(model):
        whole = pieces.get(left + right.removeprefix(model.get("continuing_subword_prefix") or ""))
        if whole is not None and left in pieces and right in pieces:
            found.setdefault(whole, set()).update((pieces[left], pieces[right]))
    return found


def _closed(at: int, parents: Mapping[int, set[int]]) -> set[int]:
    seen, waiting = set(), [at]
    while waiting:
        one = waiting.pop()
        if one not in seen:
            seen.add(one)
            waiting += parents.get(one, ())
    return seen


def rewrite(spec: dict[str, Any], kept: Iterable[int], source: Path, out: Path) -> None:
    """Write tokenizer.json and tokenizer_config.json with the ids `kept` renumbered from 0."""
    new = {old: at for at, old in enumerate(kept)}
    model = spec["model"]
    if isinstance(model["vocab"], dict):
        left = sorted((new[at], piece) for piece, at in model["vocab"].items() if at in new)
        model["vocab"] = {piece: at for at, piece in left}
        if "merges" in model:
            model["merges"] = [list(merge) for merge in _merges(model) if _is_kept(merge, model)]
    else:
        model["vocab"] = [row for at, row in enumerate(model["vocab"]) if at in new]
        model["unk_id"] = new.get(model.get("unk_id"))
    for token in spec.get("added_tokens", ()):
        token["id"] = new[token["id"]]
    if spec.get("padding"):
        spec["padding"]["pad_id"] = new[spec["padding"]["pad_id"]]
    _renumber(spec.get("post_processor"), new)
    text = json.dumps(spec, ensure_ascii=False, separators=(",", ":"))
    (out / "tokenizer.json").write_text(text + "\n", encoding="utf-8")
    config = source / "tokenizer_config.json"
    if config.is_file():
        settings = json.loads(config.read_text(encoding="utf-8"))
        if isinstance(settings.get("added_tokens_decoder"), dict):
            known = settings["added_tokens_decoder"].items()
            settings["added_tokens_decoder"] = {str(new[int(at)]): token for at, token in known if int(at) in new}
        (out / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def _is_kept(merge: tuple[str, str], model: Mapping[str, Any]) -> bool:
    left, right = merge
    whole = left + right.removeprefix(model.get("continuing_subword_prefix") or "")
    return all(piece in model["vocab"] for piece in (left, right, whole))


def _renumber(processor: Any, new: Mapping[int, int]) -> None:
    """The ids that a post-processor adds: a template's lists, or BERT's and RoBERTa's pairs of token and id."""
    if not isinstance(processor, dict):
        return
    for inner in processor.get("processors", ()):
        _renumber(inner, new)
    tokens = processor.get("special_tokens")
    for token in tokens.values() if isinstance(tokens, dict) else ():
        token["ids"] = [new[at] for at in token["ids"]]
    for name in ("sep", "cls"):
        pair = processor.get(name)
        if isinstance(pair, list) and len(pair) == 2:
            processor[name] = [pair[0], new[pair[1]]]
