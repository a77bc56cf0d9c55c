"""libFuzzer on the C core, with AddressSanitizer and UBSan: `SECONDS=600 tools/c_fuzz.py ASSETS...`, on one core.

Texts through a tokenizer of each of the assets that `export c` wrote, and back; settings, messages and model.txt; bytes
for a tokenizer.bin; of a translator's assets translations too, by ONNX Runtime or LiteRT as the wheels have them. It
wants clang with libFuzzer (Debian's libclang-rt-dev); CLANG says how it is called.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
SECONDS = int(os.environ.get("SECONDS", "600"))
LONGEST = 4096
"""Bytes of an input: more finds nothing that these do not, and takes longer."""
sys.path.insert(0, str(ROOT / "tests" / "exporting"))

import c_programs  # noqa: E402
import token_texts  # noqa: E402

SETTINGS = {
    "max_new_tokens": 5, "temperature": 0.5, "top_k": 3, "top_p": 0.9, "min_p": 0.1, "repetition_penalty": 1.1,
    "no_repeat_ngram_size": 2, "seed": 7, "stop": ["a", "b"], "when_full": "slide", "ignore_end": True,
}  # fmt: skip
MESSAGES = [{"role": "system", "content": "é\n\u0001"}, {"role": "user", "content": "a <s> \U0001f600", "x": [1, {}]}]


def seeds(assets: Path, out: Path) -> None:
    """What the fuzzer begins with: a text of each kind, whole settings, messages and files."""
    out.mkdir()
    texts = [text.encode()[:LONGEST] for text in token_texts.fuzzed(60, 2, ["<s>", "[MASK]", "<|im_end|>"])]
    given = [bytes([3 + at % 5, at]) + text for at, text in enumerate(texts)]
    given += [
        b"\2\0" + json.dumps(one, ensure_ascii=at > 0).encode() for one in (SETTINGS, MESSAGES) for at in range(2)
    ]
    settings = re.sub(rb"\n(letter|lower) [^\n]*", rb"\n\1 41-5a,61-7a", (assets / "model.txt").read_bytes())
    given += [
        b"\1\0" + settings,
        b"\0\0" + (assets / "tokenizer.bin").read_bytes()[:LONGEST],
    ]
    for at, data in enumerate(given):
        (out / str(at)).write_bytes(data)


def main() -> int:
    if not sys.argv[1:]:
        raise SystemExit(__doc__)
    clang = shlex.split(os.environ.get("CLANG", "clang"))
    flags = ["-std=c99", "-O1", "-g", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all"]
    with tempfile.TemporaryDirectory() as scratch:
        program, found = Path(scratch, "fuzz"), 0
        sources = [ROOT / "tests" / "exporting" / "fuzz.c", token_texts.SOURCES / "ew_tokenizer.c"]
        argv = [*clang, *flags, f"-I{token_texts.SOURCES}", *sources, "-o", program, "-lm", "-ldl"]
        subprocess.run([str(word) for word in argv], check=True)
        for at, assets in enumerate(map(Path, sys.argv[1:])):
            corpus = Path(scratch, str(at))
            seeds(assets, corpus)
            share = SECONDS // len(sys.argv[1:])
            asked = [f"-max_total_time={share}", f"-max_len={LONGEST}", "-timeout=20", "-print_final_stats=1"]
            known = {name: value for name, value in os.environ.items() if name != "EW_ENGINE"}  # a shell may have it
            known |= {"EW_FUZZ": str(assets / "tokenizer.bin"), "ASAN_OPTIONS": "detect_leaks=1"}
            if "\ntask translation\n" in (assets / "model.txt").read_text(encoding="utf-8"):
                known["EW_ENGINE"] = str(c_programs.engine(assets))
            done = subprocess.run([program, *asked, corpus], env=known, capture_output=True, text=True, check=False)
            if done.returncode:
                print(done.stderr[-6000:])
            runs = [line for line in done.stderr.splitlines() if "number_of_executed_units" in line]
            print(f"{assets}: {'a report' if done.returncode else 'no report'} in {share} s", *runs, flush=True)
            found += done.returncode != 0
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())
