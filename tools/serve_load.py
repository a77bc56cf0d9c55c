"""Asks a served bundle from many clients for minutes, and writes docs/serving.md with what came of it.

    python tools/serve_load.py BUNDLE [CLIENTS] [SECONDS]

Held against a plain loop of `edgewright.load` on the same texts, in a process of its own, before and after. Ends with 1
where a request of a client that was accepted was lost.
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from edgewright.errors import DeviceError, EdgewrightError
from edgewright.serving.client import Client
from edgewright.system.interpreter import here
from edgewright.system.machine import machine

OUT = Path(__file__).parents[1] / "docs/serving.md"
TEXTS = ("a charming and often affecting journey", "it drags", "neither good nor bad, but long enough to be a sentence")
LOOP = """
import sys, time
import edgewright as ew
model, texts = ew.load(sys.argv[1]), sys.argv[3:]
for text in texts: model(text)
end, done = time.monotonic() + float(sys.argv[2]), 0
while time.monotonic() < end:
    model(texts[done % len(texts)]); done += 1
print(done / float(sys.argv[2]))
"""


def plain(bundle: str, seconds: float) -> float:
    """Answers a second of a plain loop."""
    argv = [sys.executable, "-c", LOOP, bundle, str(seconds), *TEXTS]
    return float(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)


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
    before = plain(bundle, 10)
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
        server.send_signal(signal.SIGTERM)
        code = server.wait(30)
    loop = (before + plain(bundle, 10)) / 2
    OUT.write_text(page(clients, took, count, (warm, memory, after), loop, code))
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


def page(
    clients: int, took: float, count: Count, memory: tuple[float, list[float], float], loop: float, code: int
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
        "answers a second": f"{count.answered / took:.0f}, a plain loop's are {loop:.0f}",
        "memory when warm, MiB": f"{warm:.0f}",
        "then in the first third, the last, and after": f"{early:.0f}, {late:.0f}, {after:.0f}",
        "exit code after SIGTERM": f"{code}",
    }
    facts = machine()
    lines = [
        "# A server under load",
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
