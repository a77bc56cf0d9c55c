"""One input after another, each to a reader in a directory of its own, and what came of it."""

import random
import resource
import shutil
import time
from collections import Counter
from dataclasses import dataclass, field

from readers import READERS

from edgewright.errors import EdgewrightError

MOST_S, MOST_MIB = 10.0, 1024
"""For an input: what a reader may take of time, and this process of memory for it."""


@dataclass
class Result:
    """What came of a reader's inputs.

    Attributes:
        taken: inputs that were good after all.
        refused: those that ended with an error of ours, by its code.
        faults: the seed and the words of all others.
    """

    taken: int = 0
    refused: Counter = field(default_factory=Counter)
    faults: list = field(default_factory=list)
    slowest_s: float = 0.0

    @property
    def inputs(self):
        """All of them."""
        return self.taken + self.refused.total() + len(self.faults)


def one(name, seed, seeds, folder):
    """Give a reader the input of a seed: the code of the error, "" for none. Raises what is no error of ours."""
    work = folder / "work"
    work.mkdir()
    try:
        READERS[name](seeds, work, random.Random(f"{name} {seed}"))
    except EdgewrightError as error:
        if not 2 <= error.exit_code <= 6:
            raise
        assert "\n" not in str(error), "more than a line"
        return error.code
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return ""


def campaign(count, seeds, folder, first=0, only=()):
    """Give `count` inputs to the readers in turn; the results by reader."""
    found = {name: Result() for name in only or READERS}
    (folder / "canary").write_text("nobody wrote here")
    before = _names(folder)
    for number in range(count):
        name = list(found)[number % len(found)]
        seed, result, begin, peak = first + number // len(found), found[name], time.monotonic(), _peak_mib()
        try:
            code = one(name, seed, seeds, folder)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            result.faults.append((seed, f"{type(error).__name__}: {error}"[:300]))
            continue
        took, grown = time.monotonic() - begin, _peak_mib() - peak
        result.slowest_s = max(result.slowest_s, took)
        if took > MOST_S or grown > MOST_MIB or _names(folder) != before:
            where = sorted(_names(folder) ^ before)
            result.faults.append((seed, f"took {took:.1f} s and {grown:.0f} MiB, wrote {where}"))
        elif code:
            result.refused[code] += 1
        else:
            result.taken += 1
    return found


def _peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _names(folder):
    return {(path.name, path.read_text() if path.name == "canary" else "") for path in folder.iterdir()}
