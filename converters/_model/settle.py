"""What runs in a child that makes a source plain: transformers' own reading of its files, written down again."""

from __future__ import annotations

import json
import logging
import warnings
from typing import TYPE_CHECKING, Any

from edgewright.converters._model import heads, lora, tables
from edgewright.converters._model.marian import marian_json
from edgewright.errors import EdgewrightError, SourceError, TokenizerError, one_line
from edgewright.model.known import check_values, read_json
from edgewright.model.settle import SettleAnswer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgewright.model.settle import SettleRequest

__all__ = ["has_vocabulary", "positions", "roles", "settle", "tokenizer_json"]

_VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model", "*.spm", "tekken.json", "*.tiktoken")
_NO_LENGTH = 10**6
"""Above every model's context; transformers writes 10**30 where a tokenizer knows no length."""


def settle(request: SettleRequest, progress: Callable[[str], None]) -> SettleAnswer:
    """Read a source as transformers does; write what has to change into `out`, with links to what has not."""
    progress("read the source as transformers does")
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    try:
        return _settled(request)
    except (EdgewrightError, OSError):
        raise
    except Exception as error:
        words = one_line(f"{type(error).__name__}: {error}", 300)
        raise SourceError(f"{request.directory} cannot be read as transformers reads it: {words}") from error


def _settled(request: SettleRequest) -> SettleAnswer:
    home = request.directory / request.inside
    if request.kind == "static":
        return _static(request, home)
    merged = lora.merge(request.directory, request.out) if request.kind == "adapter" else None
    home = merged or home
    most, unread = _skeleton(home)
    places = (request.directory, home) if merged else (home, request.directory)
    tokens = next((place for place in places if has_vocabulary(place)), home)
    tokenizer = _opened(tokens)
    text = tokenizer_json(tokenizer, lower=request.lower)
    changed = merged is not None or request.inside not in ("", ".") or _differs(text, tokens / "tokenizer.json")
    changed = changed or _unsaid(tokenizer, tokens)
    labels: tuple[str, ...] = ()
    if request.kind == "setfit":
        changed, labels = True, heads.write(request.directory, request.out)
    if changed:
        _write(request, home, tokens, text, tokenizer)
    length = tokenizer.model_max_length
    return SettleAnswer(
        changed=changed,
        positions=most,
        length=int(length) if 0 < length < _NO_LENGTH else None,
        labels=labels,
        unread=unread,
    )


def _static(request: SettleRequest, home: Path) -> SettleAnswer:
    """A table in float32, and a tokenizer that adds no special tokens."""
    tables.write(home, request.out)
    spec = json.loads(_backend_file(home / "tokenizer.json"))
    cut = spec["truncation"] or {}
    spec |= {"post_processor": None, "truncation": None, "padding": None}
    (request.out / "tokenizer.json").write_text(json.dumps(spec, ensure_ascii=False), encoding="utf-8")
    _tokenizer_config(home, request.out, {"truncation_side": cut.get("direction", "Right").lower()})
    _link_rest(request.directory, request.out)
    length, characters = tables.longest(home, cut.get("max_length")), tables.characters(home, json.dumps(spec))
    return SettleAnswer(changed=True, positions=None, length=length, characters=characters)


def _backend_file(path: Path) -> str:
    from tokenizers import Tokenizer

    if not path.is_file():
        raise SourceError(f"{path.parent} has a table and no tokenizer.json", hint="copy or download it again")
    try:
        return str(Tokenizer.from_file(str(path)).to_str())
    except BaseException as error:
        raise TokenizerError(f"{path} does not load: {type(error).__name__}: {error}") from error


def has_vocabulary(directory: Path) -> bool:
    """Whether a directory has a file that a tokenizer of transformers can be made of."""
    return any(any(directory.glob(name)) for name in _VOCABULARIES)


def _opened(directory: Path) -> Any:
    """The tokenizer as transformers opens it."""
    from transformers import AutoTokenizer

    if not has_vocabulary(directory):
        hint = "save the model's tokenizer beside it: tokenizer.json, vocab.txt or a sentencepiece model"
        raise TokenizerError(f"no tokenizer.json in {directory}", hint=hint)
    config = directory / "tokenizer_config.json"
    if config.is_file():
        check_values("tokenizer_config.json", read_json(config, dict[str, Any]), config)
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(directory), local_files_only=True, trust_remote_code=False)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic of tokenizers is no Exception
        words = one_line(f"{type(error).__name__}: {error}", 300)
        raise TokenizerError(f"transformers does not open the tokenizer of {directory}: {words}") from error
    if len(tokenizer) <= len(tokenizer.all_special_tokens):  # what its class makes of no vocabulary at all
        raise TokenizerError(f"the tokenizer of {directory} has special tokens alone", hint="copy its files again")
    return tokenizer


def tokenizer_json(tokenizer: Any, *, lower: bool = False) -> str:
    """The tokenizer.json that gives the ids of a tokenizer of transformers, segment ids included.

    Args:
        tokenizer: of transformers.
        lower: lower-case first, as sentence-transformers does where the normalizer does not already.

    Raises:
        TokenizerError: it runs in Python alone.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None and type(tokenizer).__name__ == "MarianTokenizer":
        return marian_json(tokenizer)
    if backend is None:
        what = f"{type(tokenizer).__name__} runs in Python alone: no tokenizer.json says what it does"
        raise TokenizerError(what, hint="a fast tokenizer of transformers is taken")
    spec: dict[str, Any] = json.loads(backend.to_str())
    spec |= {"truncation": None, "padding": None}
    if "token_type_ids" not in tokenizer.model_input_names:
        spec["post_processor"] = _one_segment(spec["post_processor"])
    if lower and not _lowers(spec["normalizer"]):
        spec["normalizer"] = _before({"type": "Lowercase"}, spec["normalizer"])
    return json.dumps(spec, ensure_ascii=False, indent=2)


def _one_segment(part: Any) -> Any:
    """A post-processor whose segment ids are all 0: what a model is given whose tokenizer gives it none."""
    if isinstance(part, dict):
        return {key: 0 if key == "type_id" else _one_segment(value) for key, value in part.items()}
    return [_one_segment(one) for one in part] if isinstance(part, list) else part


def _lowers(normalizer: Any) -> bool:
    if not isinstance(normalizer, dict):
        return False
    inner = normalizer.get("normalizers", ())
    return normalizer.get("type") == "Lowercase" or bool(normalizer.get("lowercase")) or any(map(_lowers, inner))


def _before(first: dict[str, Any], then: Any) -> dict[str, Any]:
    rest = then.get("normalizers", [then]) if isinstance(then, dict) else []
    return {"type": "Sequence", "normalizers": [first, *rest]}


def _differs(text: str, path: Path) -> bool:
    """Whether tokenizer.json says something else than `text`, or is not there."""
    if not path.is_file():
        return True
    return bool(_plain(json.loads(text)) != _plain(json.loads(_backend_file(path))))


def _plain(spec: Any) -> Any:
    """Without what has no consequence: the padding and the cut are said elsewhere, an empty affix is none."""
    plain = {key: value for key, value in spec.items() if key not in ("truncation", "padding", "version")}
    model = {key: value or None for key, value in plain["model"].items()}
    return {**plain, "model": model}


def roles(tokenizer: Any) -> dict[str, Any]:
    """What a batch needs to know of a tokenizer of transformers beyond its ids: tokens by role, sides."""
    tokens = {role: getattr(tokenizer, role, None) for role in ("pad_token", "mask_token", "unk_token")}
    sides = {side: getattr(tokenizer, side) for side in ("padding_side", "truncation_side")}
    return {**{role: str(token) for role, token in tokens.items() if token is not None}, **sides}


def _unsaid(tokenizer: Any, tokens: Path) -> bool:
    """Whether tokenizer_config.json says another pad token or side than the one that transformers takes."""
    path = tokens / "tokenizer_config.json"
    config: dict[str, Any] = read_json(path, dict[str, Any]) if path.is_file() else {}
    said = {"padding_side": "right", "truncation_side": "right", **config}
    padding = json.loads((tokens / "tokenizer.json").read_text(encoding="utf-8")).get("padding") or {}
    if padding.get("pad_id", tokenizer.pad_token_id) != tokenizer.pad_token_id:
        return True
    return any(_content(said.get(role)) != value for role, value in roles(tokenizer).items())


def _content(token: Any) -> Any:
    return token.get("content") if isinstance(token, dict) else token


def _skeleton(directory: Path) -> tuple[int | None, tuple[str, ...]]:
    """The most positions of a model, and the keys of config.json that its class does not know; nothing is loaded.

    Where positions count from a padding id, as in RoBERTa and its kin, the rows up to it are never used.
    """
    import torch
    from transformers import AutoConfig, AutoModel

    raw = read_json(directory / "config.json", dict[str, Any])
    check_values("config.json", raw, directory / "config.json")
    try:
        config = AutoConfig.from_pretrained(str(directory), local_files_only=True, trust_remote_code=False)
        with torch.device("meta"):
            model = AutoModel.from_config(config, trust_remote_code=False)
    except Exception as error:
        words = one_line(f"{type(error).__name__}: {error}", 300)
        raise SourceError(f"{directory} does not load: {words}", hint="is its family one of transformers'?") from error
    unread = sorted(raw.keys() - type(config)().to_dict().keys() - _HARMLESS - config.attribute_map.keys())
    return positions(model, config), tuple(unread)


_HARMLESS = {
    *("architectures", "_name_or_path", "transformers_version", "torch_dtype", "dtype", "model_type", "auto_map"),
    *(
        "id2label",
        "label2id",
        "num_labels",
        "problem_type",
        "finetuning_task",
        "edgewright_pruned",
        "gradient_checkpointing",
    ),
    *("sentence_transformers", "sbert_ce_default_activation_function", "sbert_ce_default_activation_fn"),
    *("output_past", "_num_labels", "tokenizer_class", "torchscript", "pruned_heads", "use_bfloat16"),
    *("attention_probs_dropout_prob", "initializer_range", "max_length", "min_length", "num_beams", "do_sample"),
}
"""Read elsewhere, or of training and of how a file came to be."""


def positions(model: Any, config: Any) -> int | None:
    """The most tokens that a model has positions for, None where nothing says it."""
    for module in model.modules():
        table = getattr(module, "position_embeddings", None)
        rows = list(getattr(getattr(table, "weight", None), "shape", ()))
        if len(rows) == 2:
            first = getattr(table, "padding_idx", None)
            first = getattr(module, "padding_idx", None) if first is None else first
            return int(rows[0]) - (first + 1 if isinstance(first, int) else 0)
    said = getattr(config.get_text_config(), "max_position_embeddings", None)
    return int(said) if isinstance(said, int) and said > 0 else None


def _write(request: SettleRequest, home: Path, tokens: Path, text: str, tokenizer: Any) -> None:
    """Fill `out`: the new tokenizer, links to the transformer's files, and the modules around it."""
    (request.out / "tokenizer.json").unlink(missing_ok=True)
    (request.out / "tokenizer.json").write_text(text, encoding="utf-8")
    _tokenizer_config(tokens, request.out, roles(tokenizer))
    for place in dict.fromkeys((home, tokens, request.directory)):
        if place != request.out:
            _link_rest(place, request.out)
    modules = request.out / "modules.json"
    if request.inside and modules.is_file():
        listed = json.loads(modules.read_text(encoding="utf-8"))
        modules.unlink()
        moved = [{**one, "path": "" if one.get("path") == request.inside else one.get("path")} for one in listed]
        modules.write_text(json.dumps(moved, indent=1), encoding="utf-8")


def _tokenizer_config(tokens: Path, out: Path, named: dict[str, Any]) -> None:
    """tokenizer_config.json for the new tokenizer.json: of a class that takes it as it is, so that it is read once."""
    path = tokens / "tokenizer_config.json"
    config: dict[str, Any] = read_json(path, dict[str, Any]) if path.is_file() else {}
    gone = ("do_lower_case", "tokenize_chinese_chars", "strip_accents", "auto_map", "added_tokens_decoder")
    kept = {key: value for key, value in config.items() if key not in gone}
    kept |= {**named, "tokenizer_class": "PreTrainedTokenizerFast"}
    (out / "tokenizer_config.json").unlink(missing_ok=True)
    (out / "tokenizer_config.json").write_text(json.dumps(kept, indent=1, ensure_ascii=False), encoding="utf-8")


_DONE = ("special_tokens_map.json", "added_tokens.json", "adapter_config.json", "adapter_model.safetensors")
"""What tokenizer.json and the merged weights hold already; transformers would apply an adapter once more."""


def _link_rest(place: Path, out: Path) -> None:
    """Links to every file and folder of `place` whose name is free in `out`; code is left where it is."""
    for path in sorted(place.iterdir()):
        there = out / path.name
        if there.exists() or path.suffix in (".py", ".pkl", ".pt") or path.name.startswith("."):
            continue
        if path.name in _DONE:
            continue
        there.symlink_to(path.resolve())
