"""What the activations of an exported graph are on texts, one node after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgewright.converters._rounding.calibration import random_feeds
from edgewright.converters._rounding.gptq import Moments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import torch
    from numpy.typing import NDArray

    from edgewright.contracts.converter import ConversionSpec
    from edgewright.converters._executorch.graph import Rewriter

    Feeds = Mapping[str, NDArray[Any]]

__all__ = ["factors", "observe"]


def observe(
    module: torch.fx.GraphModule,
    wanted: Iterable[torch.fx.Node],
    texts: Sequence[Feeds],
    see: Callable[[torch.fx.Node, torch.Tensor], None],
) -> None:
    """Run every text, int64 (1, length) arrays in the graph's order, and show `see` the value of each wanted node."""
    import torch

    nodes = set(wanted)

    class Run(torch.fx.Interpreter):  # type: ignore[misc]
        def run_node(self, node: torch.fx.Node) -> Any:
            value = super().run_node(node)
            if node in nodes:
                see(node, value)
            return value

    with torch.no_grad():
        for text in texts:
            Run(module).run(*(torch.from_numpy(array) for array in text.values()))


def factors(rewriter: Rewriter, spec: ConversionSpec) -> Callable[[str], NDArray[Any]]:
    """What GPTQ wants of each linear layer's weight, by its name: `Moments.factor` of the activations that it meets.

    Over the calibration texts and random token ids: either alone generalizes worse.
    """
    graph, moments = rewriter.module.graph, Moments()
    met: dict[str, set[torch.fx.Node]] = {}
    for node in graph.nodes:
        if str(node.target) == "aten.linear.default" and rewriter.weight(node.args[1]) is not None:
            met.setdefault(str(node.args[1].target), set()).add(node.args[0])
    texts = [{name: text[name] for name in spec.inputs} for text in spec.calibration]
    spec.progress(f"observe {len(texts)} texts and random tokens")
    texts += _random_texts(rewriter, spec)
    observe(rewriter.module, set().union(*met.values()), texts, lambda node, x: moments.add(node, _tokens(x)))
    return lambda name: moments.factor(*met[name])


def _tokens(x: torch.Tensor) -> NDArray[Any]:
    """(..., inputs) -> (tokens, inputs), copied: what follows may write in place."""
    array: NDArray[Any] = x.flatten(0, -2).numpy().copy()
    return array


def _random_texts(rewriter: Rewriter, spec: ConversionSpec) -> list[dict[str, NDArray[Any]]]:
    """Texts of 128 random tokens, or of as many as the model takes."""
    places = [n for n in rewriter.module.graph.nodes if n.op == "placeholder"]
    tables = {name: _rows(rewriter, place) for name, place in zip(spec.inputs, places, strict=True)}
    longest = spec.settings.max_length
    return [{n: ids.reshape(1, -1)[:, :longest].copy() for n, ids in batch.items()} for batch in random_feeds(tables)]


def _rows(rewriter: Rewriter, ids: torch.fx.Node) -> int:
    """How many rows the table has that an input indexes, 0 where it indexes none."""
    tables = [rewriter.weight(n.args[0]) for n in ids.users if str(n.target) == "aten.embedding.default"]
    return min((len(table) for table in tables if table is not None), default=0)
