"""What edgewright makes of a source, held against transformers over whole data sets: token ids, then answers.

Ids: SST-2's dev sentences, the first 5,000 of Tatoeba, the naughty strings, and every code point between `good` and
`bad`, for each family of `tiny_models.py`. Answers: 100 sentences for each family and task, by the build's own gate.

.venv/bin/python tools/sources.py DATA --out docs/sources.json --code-points
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import itertools
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import tiny_models
import transformers

from edgewright import registry
from edgewright.model.eager import REFERENCE, ReferenceRequest, ask_in
from edgewright.model.outside import Asked
from edgewright.model.source import Source, open_source
from edgewright.proof.oracle import hold
from edgewright.system.jobs import Jobs
from edgewright.text.encoding import regroup

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).parents[1]
SENTENCES, ASKED = 5000, 100
"""Of Tatoeba for ids, and of SST-2 for answers."""
LAST, SURROGATES = 0x110000, range(0xD800, 0xE000)
"""Of Unicode; surrogates are no characters."""
CHUNK = 2000
"""Texts that are encoded at a time."""


def data_sets(data: Path) -> dict[str, list[str]]:
    """The texts of each data set, by name; the code points are made when they are asked for."""
    with (data / "sst2/dev.tsv").open(encoding="utf-8", newline="") as file:
        sst2 = [row["sentence"] for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]
    with gzip.open(data / "tatoeba/eng-spa.tsv.gz", "rt", encoding="utf-8") as lines:
        tatoeba = [line.split("\t")[1].rstrip("\n") for line in itertools.islice(lines, SENTENCES)]
    naughty = json.loads((data / "strings/naughty-strings.json").read_text(encoding="utf-8"))
    return {"SST-2 dev": sst2, "Tatoeba": tatoeba, "naughty strings": naughty}


def code_points() -> list[str]:
    """Every code point between two words."""
    return [f"good{chr(at)}bad" for at in range(LAST) if at not in SURROGATES]


def different(source: Source, texts: Sequence[str]) -> list[str]:
    """The texts of which `AutoTokenizer` makes other ids than we do."""
    theirs = transformers.AutoTokenizer.from_pretrained(str(source.origin), local_files_only=True)
    ours, found = source.tokenizer(), []
    longest = source.settings.max_length
    for chunk in _chunks(texts):
        wanted = theirs(chunk, truncation=True, max_length=longest)["input_ids"]
        encoded = ours.encode(chunk)
        rows = [row[mask.astype(bool)].tolist() for row, mask in _rows(encoded.feeds)]
        found += [text for text, own, other in zip(chunk, rows, wanted, strict=True) if own != other]
    return found


def _rows(feeds: dict[str, Any]) -> Iterator[tuple[Any, Any]]:
    return zip(feeds["input_ids"], feeds["attention_mask"], strict=True)


def _chunks(texts: Sequence[str]) -> Iterator[list[str]]:
    for at in range(0, len(texts), CHUNK):
        yield list(texts[at : at + CHUNK])


def answered(source: Source, texts: Sequence[str]) -> int:
    """How many texts the eager model and the library answered alike. Raises GateFailed at the first other one."""
    task = registry.load("tasks", source.task)(source.settings)
    tokenizer = source.tokenizer()
    items = [task.item(text, tokenizer) for text in texts]
    encodings = [task.encode(tokenizer, [item]) for item in items]
    with tempfile.TemporaryDirectory() as scratch:
        jobs = Jobs(Path(scratch))
        asked, told = jobs.scratch / "asked.json", jobs.scratch / "told.json"
        asked.write_bytes(msgspec.json.encode(Asked(tuple(items))))
        request = ReferenceRequest(source=source.job(), threads=os.cpu_count() or 1, asked=asked, told=told)
        _, outputs = ask_in(jobs, REFERENCE, request, [batch for one in encodings for batch in one.batches])
        given = regroup(encodings, outputs)
        hold(source, task, list(zip(items, encodings, given, strict=True)), told)
    return len(items)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="where sst2, tatoeba and strings lie")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--code-points", action="store_true", help="all of Unicode too: minutes for each tokenizer")
    parser.add_argument("--architecture", nargs="*", default=list(tiny_models.ARCHITECTURES))
    args = parser.parse_args()
    texts = data_sets(args.data)
    every, seen, rows = code_points() if args.code_points else [], set[str](), []
    for architecture in args.architecture:
        tasks = tiny_models.HEADS if architecture in ("bert", "roberta") else ("text-classification",)
        row: dict[str, Any] = {"family": architecture, "answers": {}}
        for task in tasks:
            with tempfile.TemporaryDirectory() as folder:
                source = open_source(tiny_models.make(architecture, task, Path(folder) / "model"))
                row["answers"][task] = answered(source, texts["SST-2 dev"][:ASKED])
                if task == "text-classification":
                    row["ids"] = _ids(source, texts, every, seen)
        print(json.dumps(row), flush=True)
        rows.append(row)
    record = {"transformers": transformers.__version__, "families": rows}
    args.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _ids(source: Source, texts: dict[str, list[str]], every: list[str], seen: set[str]) -> dict[str, list[int]]:
    """For each data set how many texts, and how many have other ids; code points once for each kind of tokenizer."""
    own = hashlib.sha256((source.directory / "tokenizer.json").read_bytes()).hexdigest()
    sets = texts if own in seen or not every else {**texts, "code points": every}
    seen.add(own)
    return {name: [len(these), len(different(source, these))] for name, these in sets.items()}


if __name__ == "__main__":
    main()
