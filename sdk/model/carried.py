"""What goes along when a model is changed and saved anew: all that its source says of itself beside the weights."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

from edgewright.errors import UnsupportedConversion
from edgewright.model.known import read_json

if TYPE_CHECKING:
    from pathlib import Path

    from edgewright.model.source import Source

__all__ = ["carry", "check_whole"]

_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")
_SENTENCE = ("modules.json", "config_sentence_transformers.json", "sentence_*_config.json")


def carry(source: Source, out: Path, *, tokenizer: bool = True, max_length: int = 0) -> None:
    """Copy to `out` the tokenizer, the model card, and what sentence-transformers saved beside the model.

    The last goes along where the model still is what it was: a model of vectors, or the cross-encoder of one score.

    Args:
        source: what the changed model was made of.
        out: its directory, which has weights and config.json already.
        tokenizer: whether the tokenizer goes along as well.
        max_length: where the changed model's texts are cut, in tokens, if that is below what its source says.
    """
    _carry(source, out, tokenizer=tokenizer)
    if 0 < max_length < source.settings.max_length:
        _cut(out, max_length)


def _cut(out: Path, max_length: int) -> None:
    """Write a largest length where transformers and sentence-transformers look for it."""
    for kind, key in (("tokenizer_config.json", "model_max_length"), ("sentence_*_config.json", "max_seq_length")):
        for path in out.glob(kind):
            tree = {**read_json(path, dict[str, Any]), key: max_length}
            path.write_text(json.dumps(tree, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _carry(source: Source, out: Path, *, tokenizer: bool) -> None:
    for name in (*(_TOKENIZER if tokenizer else ()), "README.md"):
        if (source.directory / name).is_file():
            shutil.copyfile(source.directory / name, out / name)
    if not _is_still(source):
        return
    for kind in _SENTENCE:
        for path in sorted(source.directory.glob(kind)):
            shutil.copyfile(path, out / path.name)
    for name in _modules(source):
        shutil.copytree(source.directory / name, out / name, dirs_exist_ok=True)


def _is_still(source: Source) -> bool:
    said = source.sentence
    if said is None:
        return False
    if said.cross:
        return source.task == "text-classification" and len(source.settings.labels) == 1
    return source.task == "feature-extraction"


def _modules(source: Source) -> list[str]:
    """The folders of the modules behind the transformer, as the plain directory's modules.json has them."""
    listed = read_json(source.directory / "modules.json", list[dict[str, Any]])
    names = (str(one.get("path") or "") for one in listed)
    return [name for name in names if name and (source.directory / name).is_dir()]


def check_whole(source: Source, what: str) -> None:
    """Refuse a model that only its vectors or its head make whole, for work on a model of transformers alone.

    Args:
        source: the model.
        what: the work, such as `train`.

    Raises:
        UnsupportedConversion: static embeddings, SetFit, or modules with weights of their own.
    """
    kinds = {"static": "static embeddings", "setfit": "a SetFit model"}
    own = kinds.get(source.kind) or ("modules behind its pooling" if source.settings.pooling == "model" else "")
    if own:
        raise UnsupportedConversion(
            f"{source.origin} has {own}: {what} works on a transformer alone", hint="build takes it"
        )
