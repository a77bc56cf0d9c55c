"""The curves of a training run as a page: loss, score and learning rate over the steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgewright.reporting.charts import Series, curves, legend
from edgewright.reporting.markup import document, facts_table, section
from edgewright.system.markup import tag

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgewright.system.markup import Markup

__all__ = ["drawn", "page"]

_SHOWN = ("metric", "first", "score", "last", "best_step", "steps", "parameters", "seconds", "tokens_per_s")


def page(record: Mapping[str, Any]) -> str:
    """One self-contained page of a run's record, as `training.json` holds it."""
    scores = tuple((float(step), value) for step, value in record["scores"])
    losses = [(float(step), loss) for step, loss, _ in record["losses"]]
    rates = tuple((float(step), rate) for step, _, rate in record["losses"])
    parts = [
        drawn(f"{record['metric']} {_rows(record)}, percent", (Series(record["metric"], scores),), from_zero=False),
        drawn("Loss", (Series("loss", tuple(losses)), Series("mean of ten", _smooth(losses)))),
        drawn("Learning rate", (Series("learning rate", rates),)),
        tag("section", facts_table({name: record[name] for name in _SHOWN})),
        tag("section", facts_table(record["settings"])),
    ]
    return document(f"{record['directory']}: {record['score']:.2f} % {record['metric']}", *parts)


def _rows(record: Mapping[str, Any]) -> str:
    seen, scored = record.get("seen", 0), record.get("scored", 0)
    return f"on {scored} rows, of which {seen} were trained on" if seen else "on other rows"


def drawn(title: str, series: Sequence[Series], *, from_zero: bool = True) -> Markup:
    """A section with the lines that have two steps or more."""
    kept = [one for one in series if len(one.points) > 1]
    names = legend([one.name for one in kept]) if len(kept) > 1 else ""
    chart = curves(kept, "steps", "", from_zero=from_zero) if kept else tag("p", "too few steps")
    return section(title, names, chart)


def _smooth(points: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    near = [points[max(0, at - 9) : at + 1] for at in range(len(points))]
    return tuple((some[-1][0], sum(value for _, value in some) / len(some)) for some in near)
