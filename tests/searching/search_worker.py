"""A process that takes part in a study: points are looked up or waited at, and every one begun is noted in a file."""

import itertools
import os
import sys
import time

from edgewright.searching._study import Study
from edgewright.searching.space import Choice
from edgewright.searching.trial import Found


class Grid:
    """What a study needs of a space: 24 points."""

    choices = (Choice("student.layers", 1, "layers", (1, 2, 3)), Choice("student.heads", 1, "heads", (1, 2, 4, 8)))
    choices += (Choice("artifact.precision", 0, "precision", ("fp32", "int8")),)
    points = tuple(itertools.product(range(3), range(4), range(2)))

    def values(self, point):
        return {choice.name: choice.values[at] for choice, at in zip(self.choices, point, strict=True)}


def found(point):
    layers, heads, precision = point
    score = 60 + 9 * layers + heads - 2 * precision
    return Found(score, 1.0 + layers - 0.4 * precision, 1000 * (1 + layers) // (1 + 3 * precision), score, 1000, "A")


def study(storage, **given):
    return Study(str(storage), Grid(), {"space": "grid"}, **{"sampler": "tpe", "seed": 3, "heartbeat_s": 1, **given})


def main(storage, trials, log, seconds):
    def evaluate(point, _):
        with open(log, "a") as file:  # noqa: PTH123 - appended in one write, by several processes
            file.write(f"{os.getpid()} {point}\n")
        time.sleep(float(seconds))
        return found(point)

    study(storage).run(int(trials), evaluate)


if __name__ == "__main__":
    main(*sys.argv[1:])
