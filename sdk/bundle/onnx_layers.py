"""Which module of the model each node of an ONNX graph belongs to: worked out, and kept in a file's metadata.

A graph is given as the package `onnx` reads it; nothing here imports that.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["LAYERS", "layers_of", "packed", "unpacked"]

LAYERS = "edgewright.layers"
"""The key in `metadata_props`."""


def packed(layers: Mapping[str, str]) -> str:
    """The nodes of each module, as JSON. Law: `unpacked(packed(layers)) == layers`, but for nodes of no module."""
    found: dict[str, list[str]] = {}
    for node, module in layers.items():
        if module:
            found.setdefault(module, []).append(node)
    return json.dumps(found, sort_keys=True, separators=(",", ":"))


def unpacked(words: str) -> dict[str, str]:
    """The module of each node; {} of what is none of ours."""
    try:
        tree = json.loads(words)
    except (ValueError, RecursionError):
        return {}
    rows = tree.items() if isinstance(tree, dict) else ()
    return {str(node): module for module, nodes in rows if isinstance(nodes, list) for node in nodes}


def layers_of(graph: Any) -> dict[str, str]:
    """The module of each node of a graph, from the names of the weights that reach it.

    A node that reads a weight belongs to the weight's module. Of the others those of a product, whose weight may have
    lost its name as it was transposed, belong where their result goes, and the rest to the module that holds both what
    comes before and what comes after.
    """
    weights = {tensor.name for tensor in graph.initializer}
    own = {node.output[0]: _module(name for name in node.input if name in weights) for node in graph.node}
    makers = {name: node for node in graph.node for name in node.output}
    order = [node.output[0] for node in graph.node]
    after = _spread(order[::-1], own, _users(graph))
    before = _spread(order, own, _sources(graph, makers))
    found = {}
    for node in graph.node:
        key = node.output[0]
        step = "/" in node.name or any(name in weights for name in node.input)
        found[node.name] = own[key] or (after[key] if step else _common(before[key], after[key]))
    return found


def _module(names: Iterable[str]) -> str:
    """The module of the first weight that the model's author named."""
    named = (name.partition("/")[0] for name in names)
    module = next((name for name in named if name.startswith("model.") and "." in name[6:]), "")
    return module.removeprefix("model.").rpartition(".")[0]


def _users(graph: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for node in graph.node:
        for name in node.input:
            found.setdefault(name, []).append(node.output[0])
    return {node.output[0]: [user for name in node.output for user in found.get(name, ())] for node in graph.node}


def _sources(graph: Any, makers: Mapping[str, Any]) -> dict[str, list[str]]:
    return {node.output[0]: [makers[name].output[0] for name in node.input if name in makers] for node in graph.node}


def _spread(order: Sequence[str], own: Mapping[str, str], beside: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """For each node the module that all its neighbours on one side are in."""
    found: dict[str, str] = {}
    for key in order:
        near = [own[other] or found.get(other, "") for other in beside[key]]
        found[key] = _common(*[module for module in near if module])
    return found


def _common(*modules: str) -> str:
    """The innermost module that holds all of them; of those that are known."""
    known = [module.split(".") for module in modules if module]
    if not known:
        return ""
    same = []
    for parts in zip(*known, strict=False):
        if len(set(parts)) > 1:
            break
        same.append(parts[0])
    return ".".join(same)
