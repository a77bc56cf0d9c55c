"""Flashes under fire, as a user types them: over a real sshd, a real adbd and on this machine, killed at random.

A kill is of the sender, or of everything that runs on the far side. After each, `current` leads to a whole release, the
old or the new one; `status` says the same; and the same command, given again, does its work and leaves no litter.
"""

import contextlib
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

SIDES = ("sender", "far side")
BUSY = ("is locked by", "is sending to this board", "was given up")
"""What is said while a far side that outlived its sender is at work."""
AGAIN_S, BETWEEN_S = 60.0, 0.2
"""How long that may take, and how often it is tried."""


@dataclass(frozen=True)
class Act:
    """A command, the versions that may be active while it is at work, and the one that is at its end.

    Attributes:
        words: `{N}` stands for the bundle of version N, `{url}` for the board.
    """

    name: str
    words: tuple
    before: int | None
    after: int | None


ACTS = (
    Act("install", ("flash", "{1}", "{url}"), None, 1),
    Act("upgrade", ("flash", "{2}", "{url}"), 1, 2),
    Act("rollback", ("rollback", "{url}"), 2, 1),
    Act("upgrade and clean-up", ("flash", "{3}", "{url}"), 1, 3),
    Act("uninstall", ("uninstall", "{url}"), 3, None),
)
"""In this order a board is at its beginning again."""


@dataclass
class Way:
    """A way to a board, as the command line has it.

    Attributes:
        ends: the process below which all that runs there is; None for what the sender starts.
        name_of_ends: what is not to be killed below it: connections.
    """

    name: str
    url: str
    env: dict = field(default_factory=dict)
    ends: int | None = None
    keeps: tuple = ()

    def far(self, sender):
        """The processes of the far side."""
        names = _below(self.ends or sender)
        return [pid for pid, name in names.items() if not name.startswith(self.keeps or ("\0",))]


def _below(root):
    """What runs below a process: `{pid: name}`."""
    parents, names = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            name, _, rest = (folder / "stat").read_text().partition("(")[2].rpartition(")")
            if rest.split()[0] != "Z":
                parents[int(folder.name)], names[int(folder.name)] = int(rest.split()[1]), name
    found, size = {root}, 0
    while len(found) > size:
        size = len(found)
        found |= {pid for pid, parent in parents.items() if parent in found}
    return {pid: names[pid] for pid in found - {root} if pid in names}


def kill(pids):
    """End processes at once; whether there was one."""
    done = False
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            done = True
    return done


@dataclass
class Outcome:
    """What came of the kills on a way and a side: how many, and the words of each rule that was broken."""

    kills: Counter = field(default_factory=Counter)
    losses: list = field(default_factory=list)


class Fire:
    """A board, the bundles by their version, and the luck of a seed."""

    def __init__(self, way, bundles, root, seed):
        self.way, self.bundles, self.root, self.luck = way, bundles, Path(root), random.Random(seed)
        self.takes_s, self.env = {}, {**os.environ, **way.env}

    def argv(self, words):
        names = {"{url}": self.way.url, **{f"{{{number}}}": str(path) for number, path in self.bundles.items()}}
        given = [names.get(word, word) for word in words]
        return [sys.executable, "-m", "edgewright", *given, "--root", str(self.root), "--python", sys.executable]

    def begin(self, *words):
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, "text": True}
        return subprocess.Popen(self.argv(words), env=self.env, start_new_session=True, **pipes)

    def run(self, *words):
        """Run a command: exit code, standard output and error."""
        process = self.begin(*words)
        out, err = process.communicate(timeout=300)
        return process.returncode, out, err

    def measure(self):
        """How long each act takes where nothing is killed."""
        for act in ACTS:
            began = time.monotonic()
            code, _, err = self.run(*act.words)
            assert code == 0, err
            self.takes_s[act.name] = time.monotonic() - began

    def strike(self, act, side, outcome):
        """Begin an act, kill a side at a random moment, and look at what is there; then do it again, to its end."""
        for left in reversed(range(5)):  # a kill that came too late is none
            sender, began = self.begin(*act.words), time.monotonic()
            time.sleep(self.luck.uniform(0.1, 1.0) * self.takes_s[act.name])
            done = self._killed(sender, side)
            _, err = sender.communicate(timeout=300)
            took_s = time.monotonic() - began
            if done:
                outcome.kills[act.name] += 1
            problem = self._told(sender.returncode, err) or self._standing(act) or self._finish(act)
            if problem:
                outcome.losses.append(f"{self.way.name}, {side}, {act.name}: {problem}")
            if done or problem or not left:
                return
            self.takes_s[act.name] = min(self.takes_s[act.name], took_s)
            self._back(act)

    def _killed(self, sender, side):
        if side == "sender":
            return sender.poll() is None and kill([sender.pid])
        while sender.poll() is None:
            if kill(self.way.far(sender.pid)):
                return True
            time.sleep(0.01)
        return False

    def _back(self, act):
        """To where the act begins: round the others."""
        at = ACTS.index(act)
        for other in (*ACTS[at + 1 :], *ACTS[:at]):
            self.run(*other.words)

    def _told(self, code, err):
        """An end that is no success has one line and an exit code of ours."""
        if code in (0, -signal.SIGKILL):
            return ""
        lines = [line for line in err.splitlines() if line.startswith("edgewright: ")]
        fine = 2 <= code <= 6 and len(lines) == 1 and "Traceback" not in err
        return "" if fine else f"ended with {code}: {err[-300:]}"

    def _standing(self, act):
        """Old or new, whole, and known to the board: looked at by this test itself, then asked for."""
        for _ in range(3):  # a far side that outlived its sender may switch in between
            found = self.version()
            code, out, err = self.run("status", self.way.url, "--json")
            if found == self.version():
                break
        if found not in (act.before, act.after):
            return f"{found} is active, {act.before} was and {act.after} was to be"
        if code:
            return f"status ended with {code}: {err[-300:]}"
        told = json.loads(out)
        shown = next((row["version"] for row in told["rows"] if row["name"] == told["current"]), None)
        return "" if shown == found else f"status says {shown}, {found} is active"

    def _finish(self, act):
        """The same command again, until the far side of the first one has ended; what is wrong then."""
        until = time.monotonic() + AGAIN_S
        if not (act.name == "rollback" and self._settled() == act.after):  # a second rollback leads back
            code, _, err = self.run(*act.words)
            while code and any(words in err for words in BUSY) and time.monotonic() < until:
                time.sleep(BETWEEN_S)
                code, _, err = self.run(*act.words)
            if code and not (act.after is None and "nothing is installed" in err):
                return f"the second time it ended with {code}: {err[-300:]}"
        if self.version() != act.after:
            return f"at its end {self.version()} is active, not {act.after}"
        left = [
            str(path) for path in self.root.rglob("*") if path.name.endswith(".new") or path.parent.name == "incoming"
        ]
        return f"litter: {left}" if left else ""

    def _settled(self):
        """The active version once an interrupted trial was taken back, as any command that changes something does."""
        self.run("rollback", self.way.url, "--heal")
        return self.version()

    def version(self):
        """The version that `current` leads to, every file hashed, None where there is none."""
        link = self.root / "current"
        if not link.is_symlink():
            return None
        release = link.resolve()
        try:
            tree = json.loads((release / "manifest.json").read_text())
            for file in (*tree["artifacts"], *tree["files"]):
                if hashlib.sha256((release / file["path"]).read_bytes()).hexdigest() != file["sha256"]:
                    return f"damaged {file['path']}"
        except OSError as error:
            return f"not whole: {error}"
        return tree["version"]


def campaign(way, bundles, root, kills, seed, sides=SIDES):
    """Kill each side `kills` times, at every act in turn: the outcomes by side."""
    fire, found = Fire(way, bundles, root, seed), {}
    fire.measure()
    for side in sides:
        found[side] = Outcome()
        for number in range(kills):
            fire.strike(ACTS[number % len(ACTS)], side, found[side])
        for act in ACTS[kills % len(ACTS) :] if kills % len(ACTS) else ():
            fire.run(*act.words)
    return found
