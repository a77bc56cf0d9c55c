"""Searches replayed on a table of real trials, held against random search with the same number of trials.

    tools/search_baseline.py [--trials 6,8,10] [--seeds 40]

`tools/search_table.py` made the table. Prints the Markdown that stands in docs/search.md.
"""

import argparse
import json
import math
from pathlib import Path
from statistics import mean
from typing import Any

from edgewright.compression.steps import Setting
from edgewright.errors import GateFailed
from edgewright.model.source import open_source
from edgewright.searching._study import Study
from edgewright.searching.front import hypervolume, objectives
from edgewright.searching.search import SAMPLERS
from edgewright.searching.space import Point, Space
from edgewright.searching.trial import Found

ROOT = Path(__file__).parents[1]
HEADLINE = 5


class Replay:
    """A space whose trials are looked up.

    Attributes:
        space: of the table.
        whole: the hypervolume of all its points, against the worst of each objective.
    """

    def __init__(self, folder: Path = ROOT / "tests/searching") -> None:
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


def compared(replay: Replay, trials: int, seeds: int) -> list[str]:
    """Lines of a Markdown table: each sampler against random search."""
    found = {sampler: [replay.volume(sampler, seed, trials) for seed in range(seeds)] for sampler in SAMPLERS}
    lines = []
    for sampler, volumes in found.items():
        pairs = list(zip(volumes, found["random"], strict=True))
        wins, losses = sum(a > b for a, b in pairs), sum(a < b for a, b in pairs)
        early = sum(a > b for a, b in pairs[:HEADLINE])
        words = "- | - | - | -"
        if sampler != "random":
            words = f"{early} of {HEADLINE} | {wins} of {seeds} | {losses} | {sign_test(wins, losses):.2g}"
        first = ", ".join(f"{100 * volume:.1f}" for volume in volumes[:HEADLINE])
        mean_low = f"{100 * mean(volumes):.1f} | {100 * min(volumes):.1f}"
        lines.append(f"| {trials} | {sampler} | {first} | {mean_low} | {words} |")
    return lines


def main() -> None:
    """Replay and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", default="6,8,10")
    parser.add_argument("--seeds", type=int, default=40)
    given = parser.parse_args()
    replay = Replay()
    print("| trials | sampler | seeds 0 to 4 | mean | least | better, seeds 0 to 4 | better | worse | sign test |")
    print("|---|---|---|---|---|---|---|---|---|")
    for trials in map(int, given.trials.split(",")):
        print("\n".join(compared(replay, trials, given.seeds)), flush=True)


if __name__ == "__main__":
    main()
