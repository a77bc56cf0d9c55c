"""Static embeddings: a table of token vectors as sentence-transformers or model2vec saves it, in one form."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from edgewright.errors import SourceError
from edgewright.model.known import read_json
from edgewright.model.settle import TABLE
from edgewright.text.tokenizer import MAX_TEXT_BYTES

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["characters", "longest", "own_config", "write"]

_MODEL2VEC_LENGTH = 512
"""Its own default, where its configuration says nothing (`StaticModel.__init__`)."""


def write(home: Path, out: Path) -> None:
    """Write the table in `home` to `out` as float32 `TABLE`, with a config.json that says what is to be done with it.

    model2vec's `mapping` and `weights` are folded in: row i is embeddings[mapping[i]] * weights[i]. Where model2vec's
    own configuration lies beside it, its rules hold: unknown tokens do not count, and vectors may be normalised.

    Raises:
        SourceError: no table, or one that does not fit the tokenizer.
    """
    from safetensors.torch import save_file

    path = home / "model.safetensors"
    weights = _loaded(path)
    own = TABLE not in weights  # only model2vec's own files are folded, as sentence-transformers does it
    table = weights.get("embeddings" if own else TABLE)
    if table is None or table.dim() != 2:
        names = ", ".join(sorted(weights)) or "nothing"
        raise SourceError(f"{path} holds {names}, a table {TABLE} or embeddings is wanted")
    table = table.float()
    if own and "mapping" in weights:
        table = table[weights["mapping"].long()]
    if own and "weights" in weights:
        table = table * weights["weights"].float()[:, None]
    save_file({TABLE: table.contiguous()}, out / "model.safetensors", metadata={"format": "pt"})
    config = {
        "architectures": ["StaticEmbedding"],
        "model_type": "static",
        "vocab_size": int(table.shape[0]),
        "hidden_size": int(table.shape[1]),
        **_rules(home),
    }
    (out / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")


def _rules(home: Path) -> dict[str, Any]:
    """model2vec's own rules, where there is no modules.json that says sentence-transformers' instead."""
    config = own_config(home)
    if config is None:
        return {}
    spec = json.loads((home / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    unknown = spec.get("unk_token")
    at = spec["vocab"].get(unknown) if isinstance(spec.get("vocab"), dict) else spec.get("unk_id")
    found: dict[str, Any] = {"normalize": bool(config.get("normalize", False))}
    return found | ({"unknown_id": at} if at is not None else {})


def longest(home: Path, cut: int | None) -> int | None:
    """Tokens at which a text is cut: by sentence-transformers where tokenizer.json says so, by model2vec itself.

    Raises:
        SourceError: what model2vec's configuration says is no number of tokens.
    """
    rules = own_config(home)
    if rules is None:
        return cut
    said = rules.get("max_length", _MODEL2VEC_LENGTH)
    if said is not None and (type(said) is not int or said < 1):
        raise SourceError(
            f"{home / 'config.json'} has the max_length {said!r}", hint="give a number of tokens, or null"
        )
    return said


def characters(home: Path, spec: str) -> int:
    """Characters at which model2vec cuts a text before it looks for tokens (`StaticModel._encode`), 0 for nowhere.

    So many as its tokens have by the median, of all that the tokenizer knows, for each that it would read.

    Args:
        home: where the table lies.
        spec: the tokenizer, as JSON.
    """
    from tokenizers import Tokenizer

    if own_config(home) is None:
        return 0
    words = Tokenizer.from_str(spec).get_vocab()
    found = (longest(home, None) or 0) * int(np.median([len(word) for word in words]))
    return found if found < MAX_TEXT_BYTES else 0  # a longer text is refused


def own_config(home: Path) -> dict[str, Any] | None:
    """model2vec's configuration; None beside a modules.json, where sentence-transformers never looks at it."""
    path = home / "config.json"
    return read_json(path, dict[str, Any]) if path.is_file() and not (home / "modules.json").is_file() else None


def _loaded(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise SourceError(f"{path.parent} has no model.safetensors", hint="a table in a pickle is not read")
    try:
        found: dict[str, Any] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise SourceError(f"{path} is corrupt: {error}", hint="copy or download it again") from error
    return found
