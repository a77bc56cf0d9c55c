"""Asks a served decoder from 1, 4 and 16 clients at once, and writes its table in docs/serving.md.

    python tools/serve_writing.py BUNDLE [--precisions fp32,int8,int4] [--rounds 6]

Of each precision one server writes an answer after the other (`--batch-size 1`), one as many at once as it does by
itself; they are asked in turn, so that what else the machine does meets both. The clients are threads of this process
and read streams. Ends with 1 where an answer was lost, or where a text at fp32 is not that of a client alone.
"""

from __future__ import annotations

import argparse
import http.client
import json
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from edgewright.system.interpreter import here
from edgewright.system.machine import machine

PAGE = Path(__file__).parents[1] / "docs/serving.md"
MARK, END = "<!-- tools/serve_writing.py -->", "## Counted"
"""Between them the page is this tool's."""
CLIENTS = (1, 4, 16)
"""At once: one, as many as are written at once, and four times as many."""
TOKENS = 64
"""Of an answer: some sentences."""
OPENINGS = (
    "The river",
    "In the morning she",
    "A thermostat is",
    "The first thing to know about bread is",
    "Once there",
)
PROMPTS = tuple(f"{opening} {at}." for at in range(4) for opening in OPENINGS)[: max(CLIENTS)]


@dataclass(frozen=True)
class Answer:
    """A text, how many tokens it has, and the milliseconds to its first piece."""

    text: str
    tokens: int
    first_ms: float


class Server:
    """A process that serves one artifact, without a limit that a client could meet."""

    def __init__(self, bundle: str, precision: str, batch_size: int | None) -> None:
        words = ["serve", bundle, "--http", "127.0.0.1:0", "--json", "-q", "--format", "onnx", "--precision", precision]
        words += ["--threads", "1"] + (["--batch-size", str(batch_size)] if batch_size else [])
        self.process = subprocess.Popen([*here("edgewright"), *words], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout  # noqa: S101 - it is a pipe
        told = json.loads(self.process.stdout.readline())
        self.port, self.name = int(told["url"].split(":")[2].split("/")[0]), told["rows"][0]["model"]
        self.ask(PROMPTS[0])

    def ask(self, prompt: str) -> Answer:
        """The answer that comes in pieces."""
        begun, first, text, tokens = time.monotonic(), 0.0, "", 0
        body = {"model": self.name, "prompt": prompt, "max_tokens": TOKENS, "temperature": 0, "stream": True}
        way = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        data = json.dumps({**body, "stream_options": {"include_usage": True}})
        way.request("POST", "/v1/completions", data, {"Content-Type": "application/json"})
        for line in way.getresponse():
            piece = json.loads(line[6:]) if line.startswith(b"data: {") else {}
            found = "".join(choice["text"] for choice in piece.get("choices", ()))
            first = first or (time.monotonic() if found else 0.0)
            text, tokens = text + found, (piece.get("usage") or {}).get("completion_tokens", tokens)
        way.close()
        return Answer(text, tokens, 1e3 * (first - begun))

    def load(self, clients: int) -> tuple[float, list[Answer]]:
        """Tokens a second, and the answers, of so many clients that ask at once."""
        begun = time.monotonic()
        with ThreadPoolExecutor(clients) as pool:
            answers = list(pool.map(self.ask, PROMPTS[:clients]))
        return sum(answer.tokens for answer in answers) / (time.monotonic() - begun), answers

    def end(self) -> None:
        """End it, as systemd does."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


@dataclass(frozen=True)
class Row:
    """What came of a precision at a number of clients; of pairs the first is one after the other."""

    precision: str
    clients: int
    rates: tuple[float, float]
    ratio: float
    first_ms: tuple[float, float]
    alike: int


def measured(bundle: str, precision: str, rounds: int) -> list[Row]:
    """A row for each number of clients."""
    servers = [Server(bundle, precision, size) for size in (1, None)]
    alone = [servers[0].ask(prompt).text for prompt in PROMPTS]
    rows = []
    for clients in CLIENTS:
        turns = [[server.load(clients) for server in servers] for _ in range(rounds)]
        rates = [median(turn[at][0] for turn in turns) for at in (0, 1)]
        first = [median(answer.first_ms for turn in turns for answer in turn[at][1]) for at in (0, 1)]
        texts = [answer.text for answer in turns[-1][1][1]]
        alike = sum(text == wanted for text, wanted in zip(texts, alone, strict=False))
        ratio = median(after[0] / before[0] for before, after in turns)
        rows.append(Row(precision, clients, (rates[0], rates[1]), ratio, (first[0], first[1]), alike))
        print(rows[-1], flush=True)
    for server in servers:
        server.end()
    return rows


def table(rows: list[Row]) -> str:
    """The table, and where it was measured."""
    facts = machine()
    where = f"{facts['model']}, {facts['cores']} cores, on which the clients run too:"
    lines = [
        MARK,
        f"Written by `tools/serve_writing.py` on {where}",
        f"one thread of the engine, answers of {TOKENS} tokens. Of pairs the first is `--batch-size 1`,",
        "in turn with the other.",
        "",
        "| artifact | clients | tokens a second, together | ratio | first token, ms | texts as of a client alone |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        rates, first = ("{:.0f} and {:.0f}".format(*pair) for pair in (row.rates, row.first_ms))
        alike = f"{row.alike} of {row.clients}"
        lines.append(f"| {row.precision} | {row.clients} | {rates} | **{row.ratio:.2f}** | {first} | {alike} |")
    return "\n".join([*lines, "", ""])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("bundle")
    parser.add_argument("--precisions", default="fp32,int8,int4")
    parser.add_argument("--rounds", type=int, default=6)
    given = parser.parse_args()
    rows = [row for precision in given.precisions.split(",") for row in measured(given.bundle, precision, given.rounds)]
    page = PAGE.read_text()
    before, after = page.partition(MARK)[0].partition(END)[0], page.partition(END)[2]
    PAGE.write_text(before + table(rows) + END + after)
    sys.exit(any(row.precision == "fp32" and row.alike < row.clients for row in rows))


if __name__ == "__main__":
    main()
