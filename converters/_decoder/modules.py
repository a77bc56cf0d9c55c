"""Modules of torch as parts: linear layers, norms and activations, as transformers builds its models of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgewright.converters._decoder.parts import Linear, Norm
from edgewright.errors import UnsupportedConversion

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["activation", "array", "linear", "norm"]

_ACTIVATIONS = {
    "silu": "silu",
    "swish": "silu",
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
}
"""What transformers calls each of ours."""


def norm(module: Any, offset: float = 0.0) -> Norm:
    """A norm. Gemma stores its weights around 0: `offset` is what it adds."""
    epsilon = next(getattr(module, name) for name in ("variance_epsilon", "eps") if hasattr(module, name))
    weight, bias = array(module.weight), getattr(module, "bias", None)
    return Norm(
        weight + np.float32(offset) if offset else weight, float(epsilon), None if bias is None else array(bias)
    )


def activation(name: str) -> str:
    """Transformers' name of an activation as `FeedForward` has it. Raises UnsupportedConversion."""
    found = _ACTIVATIONS.get(name)
    if found is None:
        raise UnsupportedConversion(
            f"the activation {name!r} is not converted", hint=f"known: {', '.join(_ACTIVATIONS)}"
        )
    return found


def linear(module: Any, name: str) -> Linear:
    """A `torch.nn.Linear` that the model calls `name`."""
    return Linear(f"{name}.weight", array(module.weight), None if module.bias is None else array(module.bias))


def array(tensor: Any) -> NDArray[np.float32]:
    """A float32 view of a tensor, where it is float32."""
    found: NDArray[np.float32] = tensor.detach().float().numpy()
    return found
