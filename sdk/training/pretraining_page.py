"""The curves of a training from nothing as a page: losses, learning rate, and what the model wrote on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgewright.reporting.charts import Series, curves, legend
from edgewright.reporting.markup import document, facts_table, section
from edgewright.system.markup import tag
from edgewright.training.curves import drawn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgewright.system.markup import Markup

__all__ = ["loss_curves", "page"]

_SHOWN = (
    *("loss", "bits_per_byte", "best_step", "steps", "parameters", "tokens", "train_tokens", "validation_tokens"),
    *("seconds", "tokens_per_s", "of_peak"),
)
_POINTS = 400
"""Of a line: more than a screen shows apart."""


def page(record: Mapping[str, Any]) -> str:
    """One self-contained page of a run's record, as `pretraining.json` holds it."""
    rates = tuple((float(step), rate) for step, _, rate in _thinned(record["losses"]))
    samples = [tag("tr", tag("th", f"step {step}"), tag("td", text)) for step, text in record["samples"]]
    parts = [
        section("Loss, nats a token", *loss_curves(record)),
        drawn("Learning rate", (Series("learning rate", rates),)),
        section("What it wrote", tag("table", *samples)),
        tag("section", facts_table({name: record[name] for name in _SHOWN})),
        tag("section", facts_table(record["settings"])),
    ]
    return document(f"{record['directory']}: validation loss {record['loss']:.4f}", *parts)


def loss_curves(record: Mapping[str, Any]) -> tuple[Markup, Markup]:
    """The legend and the chart of training loss, a mean over a four-hundredth of the run, and validation loss."""
    losses = [(float(step), loss) for step, loss, _ in record["losses"]]
    width = max(1, len(losses) // _POINTS)
    groups = [losses[at : at + width] for at in range(0, len(losses), width)]
    train = tuple((some[-1][0], sum(loss for _, loss in some) / len(some)) for some in groups)
    held = tuple((float(step), loss) for step, loss in record["validations"])
    series = (Series("training", train), Series("validation", held))
    return legend([one.name for one in series]), curves(series, "steps", "", from_zero=False)


def _thinned(points: Sequence[Any]) -> Sequence[Any]:
    return points[:: max(1, len(points) // _POINTS)]
