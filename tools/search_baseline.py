"""Searches replayed on a table of real trials, held against random search with the same number of trials.

    tools/search_baseline.py [--trials 8] [--seeds 40]

`tools/search_table.py` made the table. Prints the Markdown that stands in docs/search.md.
"""

import argparse
import json
import math
from pathlib import Path
from statistics import mean, median
from typing import Any

from edgewright.compress import Setting
from edgewright.errors import GateFailed
from edgewright.source import open_source
from edgewright.train._study import Study
from edgewright.train.search import SAMPLERS
from edgewright.train.search_front import hypervolume, objectives
from edgewright.train.search_space import Point, Space
from edgewright.train.search_trial import Found

ROOT = Path(__file__).parents[1]
HEADLINE = 5


class Replay:
    """A space whose trials are looked up.

    Attributes:
        space: of the table.
        whole: the hypervolume of all its points, against the worst of each objective.
    """

    def __init__(self, folder: Path = ROOT / "tests/train") -> None:
        source = open_source(ROOT / "tools/demo/model")
        rows = folder / "rows.tsv"  # never opened: nothing is trained
        setting = Setting(source.directory, rows, rows, folder, 0, 1, lambda _: None)
        self.space = Space.read(folder / "search_space.toml", source, setting)
        table = json.loads((folder / "search_table.json").read_text())
        self._table = {tuple(map(int, key.split())): found for key, found in table.items()}
        costs = [self._cost(self._found(point)) for point in self.space.points if "score" in self._table[point]]
        worst = [max(column) * 1.01 for column in zip(*costs, strict=True)]
        self._worst = (worst[0], worst[1], worst[2])
        self.whole = hypervolume(costs, self._worst)

    def row(self, point: Point) -> dict[str, Any]:
        """What the table has of a point."""
        found: dict[str, Any] = self._table[point]
        return found

    def _found(self, point: Point) -> Found:
        row = self.row(point)
        if "reason" in row:
            raise GateFailed(row["reason"])
        return Found(row["score"], row["latency_ms"], row["size_bytes"], row["score"], 0, row["grade"])

    @staticmethod
    def _cost(found: Found) -> tuple[float, float, float]:
        return 100 - found.score, found.latency_ms, float(found.size_bytes)

    def volume(self, sampler: str, seed: int, trials: int) -> float:
        """The share of the whole hypervolume that a search reaches."""
        study = Study("", self.space, {}, sampler=sampler, seed=seed)
        study.run(trials, lambda point, _: self._found(point))
        done = [trial for trial in study.trials() if trial.state == "complete"]
        return hypervolume([objectives(trial) for trial in done], self._worst) / self.whole


def sign_test(wins: int, losses: int) -> float:
    """How likely so many wins or more are, if both were equally good."""
    n = wins + losses
    return sum(math.comb(n, k) for k in range(wins, n + 1)) / 2**n


def main() -> None:
    """Replay and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=40)
    given = parser.parse_args()
    replay = Replay()
    found = {s: [replay.volume(s, seed, given.trials) for seed in range(given.seeds)] for s in SAMPLERS}
    points = len(replay.space.points)
    print(
        f"{given.trials} trials of {points} points, {given.seeds} seeds, hypervolume in percent of the whole table's:\n"
    )
    print("| sampler | seeds 0 to 4 | mean | median | better than random | worse | sign test |")
    print("|---|---|---|---|---|---|---|")
    for sampler, volumes in found.items():
        first = ", ".join(f"{100 * volume:.1f}" for volume in volumes[:HEADLINE])
        pairs = list(zip(volumes, found["random"], strict=True))
        wins, losses = sum(a > b for a, b in pairs), sum(a < b for a, b in pairs)
        early = sum(a > b for a, b in pairs[:HEADLINE])
        against = f"{wins} of {given.seeds}, {early} of the first {HEADLINE} | {losses} | {sign_test(wins, losses):.2g}"
        words = "- | - | -" if sampler == "random" else against
        print(f"| {sampler} | {first} | {100 * mean(volumes):.1f} | {100 * median(volumes):.1f} | {words} |")


if __name__ == "__main__":
    main()
