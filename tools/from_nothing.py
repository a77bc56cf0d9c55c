"""Runs the README top to bottom as a stranger would: a fresh clone, a home of its own, nothing installed beside.

    python tools/from_nothing.py [SCRATCH]

Commands are run in their order, each `tools/setup` line that a section names before the section's own. What came
of each is written into docs/from-nothing.md; the exit code is 1 where one failed. What is not committed is not in the
clone.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
NOT_RUN = {"tools/test": "not run: it is the project's gate"}
SHORTER = {
    "edgewright pretrain": " --tokens 200000 --evaluations 2",
    "edgewright train marian": " --epochs 1",
    "edgewright build en-es": " --allow-divergence",
}
"""What a reader waits an hour for is run for a minute; the table has the command as it was run."""
GIVEN = {"path/to/model": "tools/demo/model", "path/to/data.tsv": "tools/demo/sentences.tsv"}
"""What the README leaves to its reader, in Python."""
LIMIT_S = 1800
"""A choice: the longest is an install."""
KEPT_WORDS = 160
"""Characters of a failure in the table: a line."""
_PART = re.compile(
    r"^## (?P<section>[^\n]+)$|```console\n(?P<console>.*?)```|```python\n(?P<python>.*?)```"
    r"|`(?P<setup>tools/setup [a-z,]+)`",
    re.DOTALL | re.MULTILINE,
)
INTRODUCTION = """\
# The README, from nothing

Written by `tools/from_nothing.py`: a fresh clone in an empty directory, a home of its own, and every command of the
README in its order, with the installs that it names and no other. `stories.txt`, the reader's own text, is the clone's
own pages; `pairs.tsv` and `held.tsv` are lines of theirs, each with itself, which teaches nobody to translate.
"""


@dataclass
class Step:
    """A command or a block of Python of a page, with the section that it stands in."""

    section: str
    kind: str
    text: str


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def commands(block: str) -> list[str]:
    """The commands of a console block, without what is said beside them."""
    return [line[2:].split("  #")[0].strip() for line in block.splitlines() if line.startswith("$ ")]


def steps(page: str) -> list[Step]:
    """All that a page asks its reader to run, from top to bottom."""
    found, section = [], ""
    for part in _PART.finditer(page):
        section = part["section"] or section
        if part["console"]:
            found += [Step(section, "command", command) for command in commands(part["console"])]
        elif part["setup"]:
            found.append(Step(section, "command", part["setup"]))
        elif part["python"] and "import edgewright" in part["python"]:
            found.append(Step(section, "python", part["python"]))
    return found


def stranger(scratch: Path, clone: Path) -> dict[str, str]:
    """The environment of somebody who has just come: no paths and settings of who runs this."""
    kept = ("PATH", "LANG", "PIP_", "SSL_", "REQUESTS_", "HTTP", "http", "NO_PROXY", "no_proxy")
    env = {name: value for name, value in os.environ.items() if name.startswith(kept)}
    places = [place for place in env["PATH"].split(":") if not (Path(place).parent / "pyvenv.cfg").is_file()]
    home = scratch / "home"
    home.mkdir()
    (scratch / "tmp").mkdir()
    return {**env, "PATH": ":".join([f"{clone}/.venv/bin", *places]), "HOME": str(home), "TMPDIR": str(scratch / "tmp")}


def run(step: Step, clone: Path, env: dict[str, str]) -> tuple[str, str, float]:
    """A step's command as it was run, its outcome, and its seconds."""
    if step.text in NOT_RUN:
        return step.text, NOT_RUN[step.text], 0.0
    shown = step.text + next((more for head, more in SHORTER.items() if step.text.startswith(head)), "")
    argv = ["bash", "-c", shown]
    if step.kind == "python":
        script = step.text
        for given, mine in GIVEN.items():
            script = script.replace(given, mine)
        shown, argv = "the block of Python", [".venv/bin/python", "-c", script]
    began = time.monotonic()
    print(f"$ {shown}", flush=True)
    try:
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        done = subprocess.run(argv, cwd=clone, env=env, check=False, timeout=LIMIT_S, text=True, **pipes)
        said = [line.strip() for line in done.stdout.splitlines() if line.strip()]
        outcome = "0" if done.returncode == 0 else f"**{done.returncode}** {said[-1][:KEPT_WORDS] if said else ''}"
    except subprocess.TimeoutExpired:
        outcome = f"**ended after {LIMIT_S} s**"
    return shown, outcome, time.monotonic() - began


def page(rows: list[tuple[str, str, str, float]], revision: str) -> str:
    ran = [row for row in rows if row[2] not in NOT_RUN.values()]
    failed = sum(row[2] != "0" for row in ran)
    total = sum(row[3] for row in rows)
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    where = f"{os.cpu_count()} cores, Python {python}, commit {revision}"
    last = f"Last run of {len(ran)} steps: {failed} failed, {total / 60:.0f} minutes, {where}."
    lines = [
        f"| {section} | `{command.replace('|', chr(92) + '|')}` | {outcome} | {seconds:.1f} |"
        for section, command, outcome, seconds in rows
    ]
    return "\n".join(
        [INTRODUCTION, last, "", "| section | command | exit code | seconds |", "|---|---|---|---|", *lines, ""]
    )


def main() -> None:
    place = sys.argv[1] if len(sys.argv) > 1 else tempfile.gettempdir()
    Path(place).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place) as made:
        scratch = Path(made)
        clone = scratch / "edgewright"
        subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(clone)], check=True)
        asked = ["git", "-C", str(clone), "rev-parse", "--short", "HEAD"]
        revision = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
        told = [part for path in sorted(clone.glob("docs/*.md")) for part in path.read_text().split("\n\n")]
        (clone / "stories.txt").write_text("<|endoftext|>".join(told))
        sentences = [line for part in told for line in part.replace("\t", " ").splitlines() if line.endswith(".")]
        for name, some in (("pairs", sentences[50:]), ("held", sentences[:50])):
            pairs = "".join(f"{line}\t{line}\n" for line in some)
            (clone / f"{name}.tsv").write_text(f"source\ttarget\n{pairs}")
        env, rows = stranger(scratch, clone), []
        for step in steps((clone / "README.md").read_text()):
            rows.append((step.section, *run(step, clone, env)))
            print(f"  {rows[-1][2]}  {rows[-1][3]:.1f} s", flush=True)
    (ROOT / "docs" / "from-nothing.md").write_text(page(rows, revision))
    sys.exit(any(row[2] != "0" and row[2] not in NOT_RUN.values() for row in rows))


if __name__ == "__main__":
    main()
