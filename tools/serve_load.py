"""Asks a served bundle from many clients for minutes, and writes docs/serving.md with what came of it.

    python tools/serve_load.py BUNDLE [CLIENTS] [SECONDS]

Held against a plain loop of `edgewright.load` on the same texts, in a process of its own, in turn with it: once where
the system likes, and once with both on the first core alone and the clients, a process of their own too, on the
others. Ends with 1 where a request of a client that was accepted was lost.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median

from edgewright.errors import DeviceError, EdgewrightError
from edgewright.serving.client import Client
from edgewright.system.interpreter import here
from edgewright.system.machine import machine

OUT = Path(__file__).parents[1] / "docs/serving.md"
TEXTS = ("a charming and often affecting journey", "it drags", "neither good nor bad, but long enough to be a sentence")
LOOP = """
import sys, time
import edgewright as ew
model, texts = ew.load(sys.argv[1]), sys.argv[2:]
for line in sys.stdin:
    cpu, end, done = time.process_time(), time.monotonic() + float(line), 0
    while time.monotonic() < end:
        model(texts[done % len(texts)]); done += 1
    print(done / float(line), (time.process_time() - cpu) / done, flush=True)
"""
MARK = "## Counted"
"""What stands before it in the page is written by hand."""
ROUNDS, SLICE_S = 12, 3.0
"""So many times in turn the plain loop and the server, so long each: what else the machine does meets both."""
EVERY = frozenset(os.sched_getaffinity(0))
FIRST = frozenset({min(EVERY)})


class Plain:
    """A process with a plain loop, which runs when it is told to."""

    def __init__(self, bundle: str) -> None:
        argv = [sys.executable, "-c", LOOP, bundle, *TEXTS]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.run(0.5)

    def run(self, seconds: float) -> tuple[float, float]:
        """Answers a second, and seconds of the processor for each."""
        assert self.process.stdin  # noqa: S101 - they are pipes
        assert self.process.stdout  # noqa: S101
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()
        rate, cpu_s = map(float, self.process.stdout.readline().split())
        return rate, cpu_s


def pin(pid: int, cores: frozenset[int]) -> None:
    """Let a process run on these cores alone."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), cores)


def in_turn(plain: Plain, path: Path, want: dict[str, object], pid: int, *, apart: bool) -> dict[str, float]:
    """Medians over rounds: the plain loop's rate, the server's as its multiple, and the processor's time for each.

    With `apart` the loop and the server have the first core for themselves, and the clients the others.
    """
    cores = FIRST if apart and EVERY - FIRST else EVERY
    for one in (plain.process.pid, pid):
        pin(one, cores)
    pin(os.getpid(), EVERY - FIRST if cores == FIRST else EVERY)
    every = [turn(plain, path, want, pid, number) for number in range(ROUNDS)]
    pin(os.getpid(), EVERY)
    ratios = sorted(one["ratio"] for one in every)
    found = {name: median(one[name] for one in every) for name in every[0]}
    return {**found, "least": ratios[ROUNDS // 4], "most": ratios[-1 - ROUNDS // 4]}


def turn(plain: Plain, path: Path, want: dict[str, object], pid: int, number: int) -> dict[str, float]:
    """The plain loop, the server, and the loop again."""
    before, cost_s = plain.run(SLICE_S)
    count, begin, spent_s, clients_s = Count(), time.monotonic(), cpu_s(pid), time.process_time()
    load(path, want, begin + SLICE_S, count, 64, number)
    took_s, spent_s, clients_s = time.monotonic() - begin, cpu_s(pid) - spent_s, time.process_time() - clients_s
    after, _ = plain.run(SLICE_S)
    loop = (before + after) / 2
    own_ms, clients_ms = (1e3 * seconds / count.answered for seconds in (spent_s, clients_s))
    rate = count.answered / took_s
    return {"loop": loop, "ratio": rate / loop, "own_ms": own_ms, "loop_ms": 1e3 * cost_s, "clients_ms": clients_ms}


def cpu_s(pid: int) -> float:
    """Seconds of the processor that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def load(path: Path, want: dict[str, object], end: float, count: Count, clients: int, seed: int = 0) -> None:
    """Let so many clients ask until the end."""
    given = [(path, want, end, count, 1000 * seed + number) for number in range(clients)]
    asking = [threading.Thread(target=client, args=one) for one in given]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()


def resident_mib(pid: int) -> float:
    """The memory of the server."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


class Count:
    """What the clients counted, together."""

    def __init__(self) -> None:
        self.answered = self.lost = self.wrong = 0
        self.lock = threading.Lock()

    def add(self, answered: int, lost: int, wrong: int) -> None:
        """Add what one client counted."""
        with self.lock:
            self.answered, self.lost, self.wrong = self.answered + answered, self.lost + lost, self.wrong + wrong


def client(path: Path, want: dict[str, object], end: float, count: Count, seed: int) -> None:
    """Come, ask a few times, go, come again; an answer must be that of its text."""
    luck, answered, lost, wrong = random.Random(seed), 0, 0, 0  # noqa: S311 - no secret
    while time.monotonic() < end:
        try:
            with Client(path, timeout_s=120) as ask:
                for _ in range(luck.randrange(1, 40)):
                    text = luck.choice(TEXTS)
                    wrong += ask(text) != want[text]
                    answered += 1
        except DeviceError:
            lost += 1
    count.add(answered, lost, wrong)


def main() -> None:
    bundle = sys.argv[1]
    clients, seconds = ([int(word) for word in sys.argv[2:]] + [200, 600][len(sys.argv) - 2 :])[:2]
    plain = Plain(bundle)
    with tempfile.TemporaryDirectory() as scratch:
        path, count = Path(scratch, "s"), Count()
        server = subprocess.Popen([*here("edgewright"), "serve", bundle, "--socket", str(path)], stderr=subprocess.PIPE)
        want = first(path)
        warm, begin = resident_mib(server.pid), time.monotonic()
        asking = [
            threading.Thread(target=client, args=(path, want, begin + seconds, count, seed)) for seed in range(clients)
        ]
        for thread in asking:
            thread.start()
        memory = []
        while any(thread.is_alive() for thread in asking):
            time.sleep(min(10, seconds / 10))
            memory.append(resident_mib(server.pid))
        took = time.monotonic() - begin
        time.sleep(2)
        after = resident_mib(server.pid)
        turns = [in_turn(plain, path, want, server.pid, apart=apart) for apart in (False, True)]
        server.send_signal(signal.SIGTERM)
        code = server.wait(30)
    OUT.write_text(kept() + page(clients, took, count, (warm, memory, after), turns, code))
    sys.exit(bool(count.lost or count.wrong or code))


def first(path: Path) -> dict[str, object]:
    """The answers, as soon as there is a server."""
    until = time.monotonic() + 60
    while True:
        try:
            with Client(path) as ask:
                return {text: ask(text) for text in TEXTS}
        except EdgewrightError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


def kept() -> str:
    """What the page says beside the counts."""
    return OUT.read_text().partition(MARK)[0]


def compared(where: str, turns: dict[str, float]) -> dict[str, str]:
    """The rows of the server and the plain loop in turn."""
    ratio, cost = "{ratio:.2f} ({least:.2f} to {most:.2f})", "{own_ms:.2f}, {loop_ms:.2f}, {clients_ms:.2f}"
    return {
        f"as a multiple of a plain loop's in turn with it, {where}": ratio.format(**turns),
        f"the plain loop's, {where}": f"{turns['loop']:.0f}",
        f"ms of the processor for an answer: server, loop, clients, {where}": cost.format(**turns),
    }


def page(
    clients: int,
    took: float,
    count: Count,
    memory: tuple[float, list[float], float],
    turns: list[dict[str, float]],
    code: int,
) -> str:
    """The page."""
    warm, during, after = memory
    third = max(1, len(during) // 3)
    early, late = max(during[:third]), max(during[-third:])
    rows = {
        "clients at once": f"{clients}, 64 served at a time; each asks 1 to 39 times, goes and comes again",
        "time": f"{took:.0f} s",
        "requests answered": f"{count.answered:,}",
        "lost, of clients that were accepted": f"{count.lost}",
        "answers to another text": f"{count.wrong}",
        "answers a second": f"{count.answered / took:.0f}",
        **compared("where the system likes", turns[0]),
        **compared("both on the first core alone", turns[1]),
        "memory when warm, MiB": f"{warm:.0f}",
        "then in the first third, the last, and after": f"{early:.0f}, {late:.0f}, {after:.0f}",
        "exit code after SIGTERM": f"{code}",
    }
    facts = machine()
    lines = [
        MARK,
        "",
        f"Written by `tools/serve_load.py` on {facts['model']}, {facts['cores']} cores, on which the clients run too.",
        "",
        "| what | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in rows.items()),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
