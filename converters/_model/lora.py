"""LoRA adapters merged into their base (Hu et al. 2021, arXiv 2106.09685, section 4.1: W + B A alpha / r).

Held against peft's own `merge_and_unload` by a test; what peft saves and is not merged here is refused by name.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgewright.errors import SourceError, UnsupportedConversion, one_line
from edgewright.model.known import check_keys, read_json

if TYPE_CHECKING:
    import torch

__all__ = ["base_of", "merge"]

_CLASSES = {
    "SEQ_CLS": "AutoModelForSequenceClassification",
    "TOKEN_CLS": "AutoModelForTokenClassification",
    "QUESTION_ANS": "AutoModelForQuestionAnswering",
    "FEATURE_EXTRACTION": "AutoModel",
    "CAUSAL_LM": "AutoModelForCausalLM",
    "SEQ_2_SEQ_LM": "AutoModelForSeq2SeqLM",
}
"""The class of transformers that each of peft's tasks adapts."""
_PREFIX = "base_model.model."
_FILE = "adapter_config.json"
_FROM_B = re.compile(r"\.lora_(embedding_)?B(\.weight)?$")


def merge(directory: Path, out: Path) -> Path:
    """Merge the adapter in `directory` into its base, and save the model to `out`, in float32.

    Returns:
        The directory of the tokenizer and the model: `out`.

    Raises:
        SourceError: the base is not at hand, or a weight of the adapter has no place in it.
        UnsupportedConversion: an adapter of another kind than LoRA, or with a setting that is not carried out.
    """
    path = directory / _FILE
    config: dict[str, Any] = read_json(path, dict[str, Any])
    check_keys(_FILE, config, path)
    weights = _weights(directory)
    base = _base(config, directory)
    model = _model(config, base, weights)
    state: dict[str, torch.Tensor] = model.state_dict()
    used = _add(model, state, weights, config) | _replace(state, weights)
    left = sorted(weights.keys() - used)
    if left:
        hint = f"merge it with peft (merge_and_unload), save_pretrained, and build that; the base was {base}"
        raise UnsupportedConversion(f"{left[0]} of the adapter in {directory} has no place in its base", hint=hint)
    model.load_state_dict(state)
    model.save_pretrained(out)
    return _with_tokenizer(base, out)


def base_of(directory: Path) -> Path:
    """The base of the adapter in `directory`. Raises SourceError: it is not at hand."""
    return _base(read_json(directory / _FILE, dict[str, Any]), directory)


def _with_tokenizer(base: Path, out: Path) -> Path:
    """`out`, with links to the tokenizer of the base for where the adapter brings none."""
    for path in sorted(base.iterdir()):
        named = path.name.startswith(("tokenizer", "vocab", "merges", "special_tokens", "sentencepiece", "spiece"))
        if named and not (out / path.name).exists():
            (out / path.name).symlink_to(path.resolve())
    return out


def _weights(directory: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = directory / "adapter_model.safetensors"
    if not path.is_file():
        pickled = (directory / "adapter_model.bin").is_file()
        hint = "load it with peft and save_pretrained: that writes safetensors" if pickled else "copy it again"
        raise SourceError(f"{directory} has no adapter_model.safetensors", hint=hint)
    try:
        found = load_file(path)
    except (SafetensorError, OSError) as error:
        raise SourceError(f"{path} is corrupt: {error}", hint="copy or download it again") from error
    return {name.removeprefix(_PREFIX).replace(".modules_to_save.", "."): value for name, value in found.items()}


def _base(config: dict[str, Any], directory: Path) -> Path:
    """The directory of the base: a path, as it stands or beside the adapter, or an id in the hub's cache here."""
    named = config.get("base_model_name_or_path")
    if not isinstance(named, str) or not named:
        what = f"{directory / _FILE} names no base"
        raise SourceError(what, hint="write the base's directory into base_model_name_or_path")
    for place in (Path(named), directory / named, directory.parent / named):
        if (place / "config.json").is_file():
            return place.resolve()
    try:
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(named, local_files_only=True))
    except Exception as error:
        what = f"{directory / _FILE} wants the base {named}, which is not at hand"
        hint = "download it, or write its directory into base_model_name_or_path"
        raise SourceError(what, hint=hint) from error


def _model(config: dict[str, Any], base: Path, weights: dict[str, torch.Tensor]) -> Any:
    import torch
    import transformers

    task = config.get("task_type")
    if task not in (*_CLASSES, None):
        raise UnsupportedConversion(f"an adapter for {task}", hint=f"known: {', '.join(_CLASSES)}")
    own = read_json(base / "config.json", dict[str, Any])
    architecture = str((own.get("architectures") or ["AutoModel"])[0])
    kind = getattr(transformers, _CLASSES[task] if task else architecture, transformers.AutoModel)
    heads = [
        weight for name, weight in weights.items() if re.fullmatch(r"(classifier|score)(\.out_proj)?\.weight", name)
    ]
    given = {"num_labels": int(heads[0].shape[0])} if heads and own.get("id2label") is None else {}
    try:
        return kind.from_pretrained(
            str(base), dtype=torch.float32, local_files_only=True, ignore_mismatched_sizes=True, **given
        )
    except Exception as error:
        words = one_line(f"{type(error).__name__}: {error}", 300)
        raise SourceError(f"the base {base} does not load: {words}") from error


def _add(model: Any, state: dict[str, Any], weights: dict[str, Any], config: dict[str, Any]) -> set[str]:
    """Add every pair of small matrices to its weight; the names that were used."""
    used: set[str] = set()
    for name in [name for name in weights if _FROM_B.search(name)]:
        module = _FROM_B.sub("", name)
        first = re.sub(r"B(\.weight)?$", r"A\1", name)
        target, table = f"{module}.weight", ".lora_embedding_B" in name
        if target not in state or first not in weights:
            continue
        down, up = (weights[one].float() for one in (first, name))
        rank = _of(module, config.get("rank_pattern"), config.get("r"))
        if rank is not None and rank != down.shape[0]:
            what = f"{_FILE} says the rank {rank} of {module}, its weights have {down.shape[0]}"
            raise SourceError(what, hint="do the two files belong to one adapter?")
        delta = (up @ down) * _scale(module, down.shape[0], config)
        delta = delta.T if table or _turned(model, module) else delta
        if delta.shape != state[target].shape:
            shapes = f"{list(delta.shape)}, {target} of the base {list(state[target].shape)}"
            raise SourceError(f"the adapter adds {shapes}", hint="is it the base that the adapter was trained on?")
        state[target] = state[target] + delta
        used |= {name, first}
    return used


def _turned(model: Any, module: str) -> bool:
    """Whether a weight lies as (in, out), as GPT-2's. peft asks the module, too: fan_in_fan_out gives way to it."""
    from transformers.pytorch_utils import Conv1D

    return isinstance(model.get_submodule(module), Conv1D)


def _scale(module: str, rank: int, config: dict[str, Any]) -> float:
    """Alpha / r, or alpha / sqrt(r) with rank-stabilised adapters (arXiv 2312.03732)."""
    alpha = _of(module, config.get("alpha_pattern"), config.get("lora_alpha", 8))
    return float(alpha) / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _of(module: str, patterns: dict[str, Any] | None, usual: Any) -> Any:
    """What a pattern says of a module, or what is usual."""
    given = (value for key, value in (patterns or {}).items() if re.match(rf"(.*\.)?({key})$", module))
    return next(given, usual)


def _replace(state: dict[str, Any], weights: dict[str, Any]) -> set[str]:
    """Put whole weights, a head or biases, in the place of the base's; the names that were used."""
    whole = {name for name in weights if name in state}
    for name in whole:
        if weights[name].shape != state[name].shape:
            shapes = f"{list(weights[name].shape)}, the base's {list(state[name].shape)}"
            raise SourceError(f"{name} of the adapter is {shapes}", hint="is it the base that it was trained on?")
        state[name] = weights[name].float()
    return whole
