"""Sentence pairs of a gzipped table -> train.tsv, dev.tsv and test.tsv, of which no source is in another.

    .venv/bin/python tools/translation_pairs.py eng-spa.tsv.gz OUT

The table has a source and a target a line, with tabs between, as manythings.org gives out Tatoeba's. A source's letters
and digits alone tell which file it belongs to: 32 of a thousand to test.tsv and 5 to dev.tsv, where each stands once. A
part of the pairs for training stands there again without full stops, which commands lack.
"""

from __future__ import annotations

import gzip
import hashlib
import random
import re
import sys
from pathlib import Path

OF_TEST, OF_DEV, PARTS = 32, 5, 1000
WITHOUT_STOPS = 0.15
"""A choice, of the pairs that end with full stops."""


def main() -> None:
    """Write the files."""
    table, out = map(Path, sys.argv[1:])
    with gzip.open(table, "rt", encoding="utf-8") as lines:
        rows = [tuple(line.rstrip("\n").split("\t")[:2]) for line in lines]
    groups: dict[str, list[tuple[str, ...]]] = {}
    for row in rows:
        groups.setdefault(re.sub(r"[^a-z0-9]+", " ", row[0].lower()).strip(), []).append(row)
    chance = random.Random(0)  # noqa: S311 - the same files again
    files: dict[str, list[tuple[str, ...]]] = {"train": [], "dev": [], "test": []}
    for key, group in groups.items():
        at = int(hashlib.sha256(key.encode()).hexdigest(), 16) % PARTS
        if at < OF_TEST + OF_DEV:
            files["test" if at < OF_TEST else "dev"].append(group[0])
        else:
            files["train"] += group
    ending = [pair for pair in files["train"] if all(side.endswith(".") for side in pair)]
    files["train"] += [(a[:-1], b[:-1]) for a, b in ending if chance.random() < WITHOUT_STOPS]
    for name, pairs in files.items():
        if name != "train":
            chance.shuffle(pairs)
        text = "".join(f"{a}\t{b}\n" for a, b in pairs)
        (out / f"{name}.tsv").write_text(f"source\ttarget\n{text}", encoding="utf-8")
        print(f"{name}.tsv: {len(pairs)} pairs")


if __name__ == "__main__":
    main()
