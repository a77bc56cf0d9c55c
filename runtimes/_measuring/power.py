"""Power that a board's own meter shows at this moment, and what an inference takes of it.

Read from the kernel's files below a root. Written after the documentation of the drivers (ina3221 in the kernel's
hwmon, the power_supply class); neither has been run on a board here.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["Power", "energy", "power"]

_ROOT = Path("/")
_INPUTS = "_IN"
"""How the rails end that feed the whole module: VDD_IN, POM_5V_IN."""
_PAUSE_S = 0.05
"""A choice: 20 readings in the second that is metered, which take no time of the engine's."""


class Power(NamedTuple):
    """Watts, and what was metered."""

    watts: float
    meter: str


def power(root: Path = _ROOT) -> Power | None:
    """By a Jetson's INA3221 sensors, or by a battery that nothing charges; None where there is neither."""
    return _rails(root) or _battery(root)


def _rails(root: Path) -> Power | None:
    """Millivolts times milliamperes of the rail that feeds all the others, or of all rails where none does."""
    found = dict(_channels(root))
    inputs = {name: watts for name, watts in found.items() if name.endswith(_INPUTS)}
    kept = inputs or found
    return Power(sum(kept.values()), f"INA3221: {', '.join(sorted(kept))}") if kept else None


def _channels(root: Path) -> Iterator[tuple[str, float]]:
    for folder in sorted(root.glob("sys/bus/i2c/drivers/ina3221/*/hwmon/hwmon*")):
        for number in (1, 2, 3):
            millivolts, milliamperes = (_number(folder / f"{kind}{number}_input") for kind in ("in", "curr"))
            label = _text(folder / f"in{number}_label") or f"{folder.name} channel {number}"
            if millivolts is not None and milliamperes is not None:
                yield label, millivolts * milliamperes / 1e6


def _battery(root: Path) -> Power | None:
    """Microvolts times microamperes, whose sign is the maker's choice; a charger would hide what is used."""
    for folder in sorted(root.glob("sys/class/power_supply/*")):
        facts = {name: _text(folder / name) for name in ("type", "status")}
        microvolts, microamperes = (_number(folder / f"{name}_now") for name in ("voltage", "current"))
        if facts == {"type": "Battery", "status": "Discharging"} and microvolts and microamperes:
            return Power(microvolts * abs(microamperes) / 1e12, f"battery: {folder.name}")
    return None


def energy(
    run: Callable[[Any], object], feeds: Sequence[Any], seconds: float, read: Callable[[], Power | None] = power
) -> dict[str, Any]:
    """Millijoules for each inference in a loop of so many seconds, and the meter; both None where there is none.

    A loop of its own, because the readings would disturb what is timed.
    """
    first = read()
    if first is None:
        return {"energy_mj": None, "energy_meter": None}
    watts, done, over = [first.watts], 0, threading.Event()

    def watch() -> None:
        while not over.wait(_PAUSE_S):
            now = read()
            if now is not None:
                watts.append(now.watts)

    watcher = threading.Thread(target=watch)
    watcher.start()
    begin = time.monotonic()
    while (elapsed := time.monotonic() - begin) < seconds or not done:
        run(feeds[done % len(feeds)])
        done += 1
    over.set()
    watcher.join()
    return {"energy_mj": 1e3 * elapsed * sum(watts) / len(watts) / done, "energy_meter": first.meter}


def _number(path: Path) -> float | None:
    text = _text(path)
    return float(text) if text and text.lstrip("-").isdigit() else None


def _text(path: Path) -> str | None:
    """None where the file is not there, not for us, or not to be read: a sensor that is busy fails."""
    try:
        return path.read_text().strip()
    except (OSError, ValueError):
        return None
