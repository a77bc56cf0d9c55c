"""The commands and Python of the README and the guides work as they are printed there."""

import re
import shlex
import subprocess
import sys

import pytest
import translators
from conftest import DEMO, ROOT, SENTENCES, edgewright
from gguf_file import gguf_file

from edgewright import registry

sys.path.insert(0, str(ROOT / "tools"))
import from_nothing

PAGES = (ROOT / "README.md", *(ROOT / "docs" / f"{name}.md" for name in ("compressing", "boards", "measuring")))
NOT_HERE = (
    "tools/quickstart",
    "tools/test",
    "tools/check",
    "pip install",
    "pip download",
    "unzip",
    "git clone",
    "cd edgewright",
)


def blocks(language):
    return [block for page in PAGES for block in from_nothing.blocks(page.read_text(), language)]


COMMANDS = [command for block in blocks("console") for command in from_nothing.commands(block)]


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A directory that looks like the checkout to the README's relative paths."""
    desk = tmp_path_factory.mktemp("readme")
    demo = desk / "tools/demo"
    demo.mkdir(parents=True)
    (demo / "model").symlink_to(DEMO)
    lines = SENTENCES.read_text().splitlines(keepends=True)
    (demo / SENTENCES.name).write_text("".join(lines[:33]))  # steps of training take a second, and are tested elsewhere
    (desk / "tools/recipes").symlink_to(ROOT / "tools/recipes")
    words = (ROOT / "tests/story.txt").read_text().split()
    told = (" ".join(words[at : at + 40]) for at in range(0, 240, 2))
    (desk / "stories.txt").write_text("<|endoftext|>".join(told))
    translators.saved(desk / "marian", "marian")  # in place of a new one, whose first words take long to be scored
    pairs = [f"{text}\t{text}\n" for text in translators.TEXT]
    for name, some in (("pairs", pairs), ("held", pairs[:2])):  # words of an untrained model go on to the last
        (desk / f"{name}.tsv").write_text("".join(["source\ttarget\n", *some]), encoding="utf-8")
    gguf_file(desk / "SmolLM2-135M-Instruct.Q4_1.gguf", "Q4_1")  # whose name the README has: the real one takes minutes
    return desk


def test_there_are_commands():
    assert any(command.startswith("edgewright build") for command in COMMANDS)
    assert {"tools/quickstart", "tools/test"} <= set(COMMANDS)


def test_the_steps_from_nothing_are_those_of_the_readme_with_its_installs_before_them():
    """`tools/from_nothing.py` runs them; its last result is in docs/from-nothing.md."""
    found = [step.text for step in from_nothing.steps(PAGES[0].read_text())]
    readme = [
        command
        for block in from_nothing.blocks(PAGES[0].read_text(), "console")
        for command in from_nothing.commands(block)
    ]
    assert [text for text in found if text in readme] == readme
    assert found.index("tools/setup convert,train") < found.index(
        "edgewright pretrain stories.txt --preset 10m --out storyteller"
    )
    written = (ROOT / "docs/from-nothing.md").read_text()
    assert [command for command in readme if f"`{command}" not in written.replace("\\|", "|")] == []


SHORTER = {
    "bench": ("--processes", "1", "--runs", "2", "--least-ms", "1"),
    "race": ("--processes", "1"),
    "profile": ("--runs", "3"),
    "pretrain": (
        *("--preset", "1m", "--vocabulary", "280", "--context", "64", "--tokens", "4096", "--batch", "4"),
        *("--validation", "0.1", "--evaluations", "1", "--threads", "1"),
    ),
}
"""What makes a command short that measures: the usual numbers are those of `test_bench.py` and `test_raced.py`."""


IN_ONE_PROCESS = ("build", "train", "distill", "pretrain", "compress", "search")
"""Verbs that take seconds to import torch, which is done once for all of them here."""


def shorter(words):
    """A command as it is printed, but for how long it measures, and without what other tests build."""
    given = [word.replace(",executorch,torchscript", "").replace("marian-8m", "marian") for word in words]
    given = [word.replace("fp32,", "") for word in given] if "onnx,tflite" in given else given
    random = ["--allow-divergence"] * any(word.endswith((".gguf", "en-es")) for word in words[:2])  # of no meaning
    return [*given, *random, *SHORTER.get(words[0], ())]


def test_every_command_runs(desk):
    """In their order, since one makes what the next one reads."""
    for command in COMMANDS:
        if not command.startswith(NOT_HERE):
            words = shlex.split(command)
            if words[0] in ("awk", "printf"):
                subprocess.run(["sh", "-c", command], cwd=desk, check=True)
                continue
            assert words[0] == "edgewright", command
            places = {"XDG_DATA_HOME": str(desk / "data"), "XDG_CACHE_HOME": str(desk / "cache")}
            edgewright(*shorter(words[1:]), cwd=desk, here=words[1] in IN_ONE_PROCESS, **places)


def test_every_format_that_is_printed_is_one():
    named = {word for command in COMMANDS for word in re.findall(r"--format (\S+)", command)}
    assert {name for word in named for name in word.split(",")} == {*registry.names("converters")} - {"ort", "tensorrt"}


@pytest.mark.alone
def test_the_job_for_ci_passes_on_its_own_baseline(tmp_path, demo_bundle):
    """The same artifact seconds later: a limit that no noise reaches stands in for a quiet machine."""
    (tmp_path / "sentiment").symlink_to(demo_bundle)
    (line,) = [row for block in blocks("yaml") for row in block.splitlines() if "edgewright bench" in row]
    words = shlex.split(line.removeprefix("- run: "))[1:]
    at = words.index("--baseline")
    edgewright(*words[:at], "--processes", "2", cwd=tmp_path)
    (tmp_path / "run.json").rename(tmp_path / words[at + 1])
    edgewright(*words, "--processes", "2", "--fail-over", "200%", cwd=tmp_path)


def test_every_other_command_is_a_tool_that_exists():
    for command in COMMANDS:
        if command.startswith("tools/"):
            assert (ROOT / command.split()[0]).is_file()


def test_python_runs(desk):
    for block in blocks("python"):
        if "import edgewright" in block:
            script = block.replace("path/to/model", str(DEMO)).replace("path/to/data.tsv", str(SENTENCES))
            done = subprocess.run([sys.executable, "-c", script], cwd=desk, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
