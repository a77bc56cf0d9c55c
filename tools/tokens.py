"""The C core's tokenizer held against `tokenizers`, id by id and offset by offset: `tools/tokens.py TOKENIZER.json...`.

Texts are those of ../shared where it is there (SST-2's train set, the first 20,000 pairs of Tatoeba, the naughty
strings), 20,000 that are made up, half a megabyte without a space, and every code point in `good<c>bad`. Then the speed
of both on one thread, text by text, and made-up bytes through a build with gcc's sanitizers. docs/apps.md has the last
result.
"""

from __future__ import annotations

import gzip
import json
import os
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "true"
ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"
FUZZED = 20_000
FIRE_SECONDS = int(os.environ.get("FIRE_SECONDS", "60"))
MOST_SHOWN = 5
"""Differences that are printed."""
sys.path.insert(0, str(ROOT / "tests" / "exporting"))

import token_texts  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402

from edgewright.exporting.tokenizer_file import tokenizer_file  # noqa: E402


def sets(shared: Path, added: list[str]) -> dict[str, list[str]]:
    found = {}
    if shared.is_dir():
        rows = (shared / "sst2" / "train.tsv").read_text(encoding="utf-8").split("\n")[1:]
        found["SST-2 train"] = [row.split("\t")[0] for row in rows if row]
        with gzip.open(shared / "tatoeba" / "eng-spa.tsv.gz", "rt", encoding="utf-8") as file:
            found["Tatoeba"] = [
                one for _, row in zip(range(20_000), file, strict=False) for one in row.rstrip("\n").split("\t")[:2]
            ]
        found["naughty strings"] = json.loads((shared / "strings" / "naughty-strings.json").read_text(encoding="utf-8"))
    return {
        **found,
        "fuzzed": token_texts.fuzzed(FUZZED, 1, added),
        "half a megabyte": token_texts.long_ones(),
        "code points": token_texts.every_code_point(),
    }


def _seconds(program: Path, file: Path, texts: list[str]) -> float:
    given = b"".join(struct.pack("<I", len(data)) + data for data in map(str.encode, texts))
    done = subprocess.run([program, file], input=given, capture_output=True, check=True)
    return float(done.stderr)


def main() -> int:
    shared = Path(os.environ.get("SHARED_DATA", SHARED))
    wrong = 0
    with tempfile.TemporaryDirectory() as scratch:
        program = token_texts.compiled(Path(scratch, "tokens"), "tokens.c", "ew_tokenizer.c")
        fire = token_texts.compiled(
            Path(scratch, "fire"), "token_fire.c", "ew_tokenizer.c", flags=token_texts.SANITIZED
        )
        for name in sys.argv[1:]:
            path, file = Path(name), Path(scratch, "tokenizer.bin")
            began = time.perf_counter()
            file.write_bytes(tokenizer_file(path.read_bytes()))
            print(f"{path}: {file.stat().st_size} bytes in {time.perf_counter() - began:.1f} s", flush=True)
            backend = Tokenizer.from_file(str(path))
            backend.no_truncation()
            backend.no_padding()
            added = [token.content for token in backend.get_added_tokens_decoder().values()]
            for kind, texts in sets(shared, added).items():
                found = token_texts.differences(program, file, backend, texts)
                wrong += len(found)
                print(
                    f"  {kind}: {len(found)} of {len(texts)} differ",
                    *map(repr, (one[:80] for one in found[:MOST_SHOWN])),
                    flush=True,
                )
                if kind in ("SST-2 train", "Tatoeba"):
                    ours = min(_seconds(program, file, texts) for _ in range(3))
                    began = time.process_time()
                    for text in texts:
                        backend.encode(text)
                    theirs = time.process_time() - began
                    print(
                        f"  {kind}: C {len(texts) / ours:,.0f} texts/s, tokenizers {len(texts) / theirs:,.0f}",
                        flush=True,
                    )
            done = subprocess.run([fire, file, str(FIRE_SECONDS), "1"], capture_output=True, text=True, check=False)
            wrong += done.returncode != 0
            print(f"  sanitizers: {done.stdout.strip()} texts in {FIRE_SECONDS} s", done.stderr[:2000], flush=True)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
