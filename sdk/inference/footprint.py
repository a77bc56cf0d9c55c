"""The memory that a bundle's artifact takes at its peak, as a sum of parts.

The sum was fitted to VmHWM of real processes on x86-64 Linux: the demo model and MiniLM, fp32 and int8, ONNX Runtime
1.31 and LiteRT 2.3 on Python 3.11, from 16 to 256 tokens. It was within 12 % of each of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgewright.errors import BundleError
from edgewright.inference.engines import engines_of
from edgewright.model.sizes import Sizes
from edgewright.system.files import read_capped
from edgewright.system.untrusted import MAX_JSON_BYTES, strict_json

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from edgewright.bundle.bundle import Bundle
    from edgewright.bundle.manifest import Artifact, Manifest
    from edgewright.contracts.engine import Runtime

__all__ = [
    "activation_bytes",
    "engine_of",
    "kv_cache_bytes",
    "least_memory_mib",
    "memory_mib",
    "model_config",
    "table_share",
]

_MIB = 2**20
"""Bytes."""
_PYTHON_MIB = 37.0
"""Python with numpy, tokenizers and edgewright."""
_BYTES = {"float32": 4, "float16": 2, "int8": 1}
"""Of what a cache can be of."""
_TOKENIZER_MIB, _TOKENIZER_TIMES = 2.0, 19.0
"""A loaded tokenizer, by the size of its tokenizer.json."""


def model_config(directory: Path) -> dict[str, Any]:
    """The model's config.json in a bundle, empty where there is none; its hash was checked. Raises BundleError."""
    path = directory / "config.json"
    tree = strict_json(read_capped(path, MAX_JSON_BYTES), path.name) if path.is_file() else {}
    return tree if isinstance(tree, dict) else {}


def engine_of(artifact: Artifact, among: Collection[str] = ()) -> Runtime:
    """The engine that opens an artifact: the first of those `among`, by their keys, or of all. Raises BundleError."""
    fits = engines_of(artifact.format)
    if not fits:
        raise BundleError(
            f"no engine opens {artifact.format}, the format of {artifact.path}", hint="upgrade edgewright"
        )
    order = list(among)
    return min(fits, key=lambda engine: order.index(engine.engine) if engine.engine in order else len(order))


def memory_mib(
    manifest: Manifest,
    artifact: Artifact,
    config: Mapping[str, Any],
    tokens: int,
    engine: Runtime,
    *,
    python: bool = True,
) -> dict[str, float]:
    """The parts of an artifact's peak memory in MiB.

    Args:
        manifest: the bundle's.
        artifact: one of its artifacts.
        config: the model's config.json.
        tokens: the length of the one text that is run.
        engine: that runs it.
        python: whether a Python does, and not an app.
    """
    taken, listed = engine.footprint, {file.path: file.size_bytes for file in manifest.files}
    cache = kv_cache_bytes(config, tokens, bytes_each=_BYTES.get(artifact.cache_dtype or "float32", 4))
    weights = artifact.total_bytes / _MIB
    if taken.mapped:
        weights *= 1 - table_share(config, manifest.source.parameters)
    words = listed.get("tokenizer.json", 0) / _MIB
    return {
        **({"python": _PYTHON_MIB} if python else {}),
        "tokenizer": _TOKENIZER_MIB + _TOKENIZER_TIMES * words,
        "engine": taken.base_mib,
        "weights": taken.copies * weights,
        "activations": activation_bytes(config, tokens) / _MIB,
        **({"kv_cache": cache / _MIB} if cache else {}),
    }


def least_memory_mib(bundle: Bundle) -> dict[str, float]:
    """The parts for the artifact of a bundle that takes least, at the model's largest length."""
    manifest, config = bundle.manifest, model_config(bundle.directory)
    longest = manifest.settings.max_length
    known = [one for one in manifest.artifacts if engines_of(one.format)] or manifest.artifacts[:1]
    each = [memory_mib(manifest, one, config, longest, engine_of(one)) for one in known]
    return min(each, key=lambda parts: sum(parts.values()))


def table_share(config: Mapping[str, Any], parameters: int) -> float:
    """The embedding table as a part of all weights: of a mapped file only the rows that are looked up are read."""
    sizes = Sizes.of(config)
    table = sizes.vocabulary * sizes.embedding
    return table / parameters if table < parameters else 0.0


def activation_bytes(config: Mapping[str, Any], tokens: int) -> float:
    """Of a layer in float32: the scores of its attention, the inner states of its feed-forward part, four more."""
    sizes = Sizes.of(config)
    return 4.0 * tokens * (sizes.heads * tokens + sizes.inner + 4 * sizes.width)


def kv_cache_bytes(config: Mapping[str, Any], tokens: int, *, bytes_each: int = 4) -> int:
    """Keys and values of a decoder's layers for so many tokens; 0 for a model that does not generate.

    A layer that is a short convolution keeps its last few states instead, whatever is read.
    """
    names = config.get("architectures")
    if not isinstance(names, list) or not any(str(name).endswith(("ForCausalLM", "LMHeadModel")) for name in names):
        return 0
    sizes = Sizes.of(config)
    layers, convolve = sizes.decoder_layers or sizes.layers, _convolutions(config)
    keys_and_values = 2 * (layers - convolve) * sizes.key_value_heads * sizes.head_dim * tokens * bytes_each
    taps = config.get("conv_L_cache")
    states = convolve * sizes.width * taps if type(taps) is int else 0
    return keys_and_values + _BYTES["float32"] * states


def _convolutions(config: Mapping[str, Any]) -> int:
    """The layers that convolve: LFM2's older files name those that attend alone."""
    kinds, attend = config.get("layer_types"), config.get("full_attn_idxs")
    if isinstance(kinds, list):
        return kinds.count("conv")
    if config.get("model_type") == "lfm2" and isinstance(attend, list):
        return Sizes.of(config).layers - len(attend)
    return 0
