"""Which class of transformers loads a model, where its task alone does not say it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgewright.model.known import read_json

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["body_class"]

_ENCODERS = {"t5": "T5EncoderModel", "mt5": "MT5EncoderModel", "umt5": "UMT5EncoderModel"}
"""Encoder-decoders of which sentence-transformers takes the encoder (`AutoModelForTextEncoding` of transformers)."""
_TOWERS = {"clip": "CLIPTextModelWithProjection", "clip_text_model": "CLIPTextModel"}


def body_class(directory: Path) -> str:
    """The class of the body that makes vectors, by the family and the saved architecture in config.json."""
    config = read_json(directory / "config.json", dict[str, Any])
    family, saved = config.get("model_type"), str((config.get("architectures") or [""])[0])
    if family in _TOWERS:
        return "CLIPTextModelWithProjection" if saved == "CLIPTextModelWithProjection" else _TOWERS[family]
    encodes = saved.endswith("EncoderModel") or (directory / "modules.json").is_file()
    return _ENCODERS[family] if family in _ENCODERS and encodes else "AutoModel"
