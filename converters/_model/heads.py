"""Linear heads beside an embedding model, as SetFit has them: from safetensors or numpy, never from a pickle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgewright.errors import SourceError, one_line
from edgewright.model.known import check_keys, read_json
from edgewright.model.settle import HEAD

if TYPE_CHECKING:
    from pathlib import Path

    import torch

__all__ = ["write"]

_WEIGHT, _BIAS = ("weight", "coef", "coef_", "linear.weight"), ("bias", "intercept", "intercept_", "linear.bias")
_WAY_OUT = (
    "run: python -c \"import joblib, numpy; h = joblib.load('model_head.pkl'); numpy.savez('model_head.npz', "
    'coef=h.coef_, intercept=h.intercept_, classes=numpy.array(h.classes_, dtype=str))" writes one that is read'
)


def write(directory: Path, out: Path) -> tuple[str, ...]:
    """Write the head in `directory` to `out` as `HEAD`; its labels.

    A head of one row, as scikit-learn's LogisticRegression has for two classes, becomes one of two: its first logit
    is 0, so that the softmax is that sigmoid.

    Raises:
        SourceError: no head, a pickle, or shapes and labels that do not fit.
        UnsupportedConversion: a setting of SetFit that is not carried out.
    """
    import torch
    from safetensors.torch import save_file

    path = directory / "config_setfit.json"
    config: dict[str, Any] = read_json(path, dict[str, Any]) if path.is_file() else {}
    check_keys("config_setfit.json", config, path)
    arrays = _arrays(directory)
    weight, bias = _one(arrays, _WEIGHT, directory), _one(arrays, _BIAS, directory).reshape(-1)
    if weight.dim() != 2 or bias.shape[0] != weight.shape[0]:
        shapes = f"weights {list(weight.shape)} and biases {list(bias.shape)}"
        raise SourceError(f"the head in {directory} has {shapes}", hint="(labels, width) and (labels,) are wanted")
    if weight.shape[0] == 1:
        weight, bias = (torch.cat([torch.zeros_like(one), one]) for one in (weight, bias))
    labels = _labels(config, arrays, int(weight.shape[0]), directory)
    kept = {"weight": weight.float().contiguous(), "bias": bias.float().contiguous()}
    save_file(kept, out / HEAD, metadata={"normalize": str(bool(config.get("normalize_embeddings"))).lower()})
    return labels


def _arrays(directory: Path) -> dict[str, Any]:
    """The arrays of the head's file, tensors by name; texts stay lists."""
    import numpy as np
    import torch
    from safetensors.torch import load_file

    tensors, numbers = directory / "model_head.safetensors", directory / "model_head.npz"
    try:
        if tensors.is_file():
            return dict(load_file(tensors))
        if numbers.is_file():
            with np.load(numbers, allow_pickle=False) as file:
                return {k: file[k].tolist() if file[k].dtype.kind in "US" else torch.from_numpy(file[k]) for k in file}
    except Exception as error:
        words = one_line(f"{type(error).__name__}: {error}", 200)
        raise SourceError(f"the head in {directory} cannot be read: {words}", hint=_WAY_OUT) from error
    if any(directory.glob("model_head.*")):
        what = f"{next(directory.glob('model_head.*'))} is a pickle, which is a program and is never run"
        raise SourceError(what, hint=_WAY_OUT)
    raise SourceError(f"{directory} has a config_setfit.json and no head", hint=f"model_head.npz: {_WAY_OUT}")


def _one(arrays: dict[str, Any], names: tuple[str, ...], directory: Path) -> torch.Tensor:
    found: Any = next((arrays[name] for name in names if name in arrays), None)
    if found is None:
        has = ", ".join(sorted(arrays)) or "nothing"
        raise SourceError(f"the head in {directory} has {has}, one of {', '.join(names)} is wanted")
    return found


def _labels(config: dict[str, Any], arrays: dict[str, Any], count: int, directory: Path) -> tuple[str, ...]:
    """Names that SetFit knows, else the classes of the head, else numbers. Raises SourceError."""
    given = config.get("labels") or arrays.get("classes", arrays.get("classes_"))
    names = tuple(str(one) for one in given) if isinstance(given, list) else tuple(f"LABEL_{at}" for at in range(count))
    if len(names) != count:
        raise SourceError(f"{directory} names {len(names)} labels, its head has {count}")
    return names
