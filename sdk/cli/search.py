"""edgewright search."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import click

from edgewright.cli._options import example, output_options, task_option
from edgewright.cli._progress import status
from edgewright.cli._tables import emit
from edgewright.system.words import counted

if TYPE_CHECKING:
    from edgewright.searching.front import Trial

__all__ = ["command"]

_LIMITS = ("max_ms", "max_mb", "min_score")


@click.command(
    "search",
    epilog=example("search tuned --space space.toml --data train.tsv --eval dev.tsv --storage study.db --out found"),
)
@click.argument("source")
@click.option("--space", type=click.Path(), required=True, help="A recipe with several values to try: a TOML file.")
@click.option("--data", "train", type=click.Path(), required=True, help="Labelled rows to train on.")
@click.option("--eval", "dev", type=click.Path(), required=True, help="Other labelled rows, which score.")
@click.option("--storage", required=True, help="A file, or a data base's URL: processes that give the same share it.")
@click.option("-o", "--out", type=click.Path(), required=True, help="Directory for the page and the winner's recipe.")
@click.option("--trials", default=30, show_default=True, help="How many the study shall have, of all processes.")
@click.option("--max-ms", type=float, help="Slowest winner.")
@click.option("--max-mb", type=float, help="Largest winner.")
@click.option("--min-score", type=float, help="Least score of a winner, in percent.")
@click.option("--sampler", default="model", show_default=True, help="model, tpe, nsga2 or random.")
@click.option("--device", default="local", show_default=True, help="Where latency is measured.")
@task_option("By default that of the saved architecture.")
@click.option("--seed", default=0, show_default=True, help="Of everything random.")
@click.option("--threads", default=0, help="Of torch; by default its own choice.")
@click.option("--cache", type=click.Path(), help="Where a teacher's answers are kept.")
@output_options
def command(
    source: str, space: str, train: str, dev: str, out: str, *, as_json: bool, quiet: bool, **given: Any
) -> None:
    """Search the recipe that makes the best small model of SOURCE: score, latency and size together.

    Every trial is trained for a short time, built and timed. The same command goes on with a study that was killed, and
    takes part in one that is running.
    """
    from edgewright.searching.front import Limits
    from edgewright.searching.search import search

    limits = Limits(*(given.pop(name) for name in _LIMITS))
    found = search(source, space, train, dev, out, limits=limits, progress=status(quiet=quiet), **given)
    words = ["edgewright", "compress", source, "--recipe", f"{out}/recipe.toml", "--data", train, "--eval", dev]
    rows = [_row(trial) for trial in found.front]
    left = sum(found.infeasible.values())
    notes = [f"{left} combinations were left out: {next(iter(found.infeasible))}"] if left else []
    notes += [f"the winner is trial {found.winner.number}, as {found.artifact}; {out}/search.html has the charts"]
    notes += [f"the full run: {shlex.join(words)} --out MODEL"]
    title = f"{len(found.front)} of {counted(len(found.trials), 'trial')} on the front"
    emit(rows, as_json=as_json, title=title, notes=notes, winner=found.winner.number)


def _row(trial: Trial) -> dict[str, Any]:
    values = {name: list(value) if isinstance(value, tuple) else value for name, value in trial.values.items()}
    measured = {name: getattr(trial, name) for name in ("score", "latency_ms", "size_bytes")}
    return {"trial": trial.number, **values, **measured, "grade": (trial.facts or {}).get("grade")}
