"""The demo model flashed as a user does it: killed, lied to, out of quota, out of time, in odd surroundings."""

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import edgewright, only
from debian import need
from flash_ways import of_ssh, three
from flash_world import ACTS, SIDES, Fire, Outcome
from loopback import Sshd, serve

from edgewright import cli

SHIM = Path(__file__).parents[1] / "shim.c"
LIES = int(os.environ.get("FIRE_LIES", "6"))
"""Answers that are spoiled; `FIRE_LIES=1000` spoils more."""
YEARS_S = 20 * 365 * 86400


@pytest.fixture(scope="module")
def bundles(demo_bundle, tmp_path_factory):
    root = tmp_path_factory.mktemp("versions")
    return three(only(demo_bundle, root / "int8", "int8"), root)


@pytest.mark.heavy
def test_a_kill_at_a_random_moment_leaves_the_old_or_the_new(bundles, tmp_path):
    """One of each side; `tools/flash_fire.py` does it 180 times, at every act and on three ways."""
    with of_ssh(tmp_path) as way:
        fire, outcome = Fire(way, bundles, tmp_path / "board", 7), Outcome()
        fire.takes_s = {act.name: 2.0 for act in ACTS}
        for act, side in zip(ACTS, SIDES, strict=False):
            fire.strike(act, side, outcome)
    assert outcome.losses == []
    assert outcome.kills.total() > 0, "the kills came too late"


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    need("gcc", "gcc")
    out = tmp_path_factory.mktemp("shim") / "shim.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", str(out), str(SHIM), "-ldl"], check=True)
    return out


@contextlib.contextmanager
def server(home, **more):
    """A real sshd whose logins have more variables; the words that lead a command there."""

    class Odd(Sshd):
        def __init__(self, place):
            super().__init__(place)
            self.lines[-1] += "".join(f' "{name}={value}"' for name, value in more.items())

    home.mkdir()
    found = serve(Odd, home)
    try:
        yield found
    finally:
        found.stop()


def there(found, root):
    return found.url, "--root", root, "--python", sys.executable, "-q"


def version(root):
    return json.loads((root / "current/manifest.json").read_text())["version"]


def test_a_clock_that_is_set_back_decides_nothing(bundles, shim, tmp_path):
    """By twenty years, between two flashes, and while a sender that was killed has left its note."""
    root = tmp_path / "board"
    with server(tmp_path / "now") as found:
        edgewright("flash", bundles[1], *there(found, root), PATH=found.path)
    (root / "incoming/session.json").write_text(
        json.dumps({"token": "t", "who": "someone", "host": "elsewhere", "pid": 1, "boot": "another"})
    )
    with server(tmp_path / "back", LD_PRELOAD=shim, FIRE_CLOCK_S=-YEARS_S) as found:
        edgewright("flash", bundles[2], *there(found, root), PATH=found.path)
        assert version(root) == 2
        edgewright("rollback", *there(found, root), PATH=found.path)
        told = json.loads(edgewright("status", found.url, "--root", root, "--json", PATH=found.path))
    assert version(root) == 1
    assert told["chain"]["problem"] == ""
    times = [event["at_s"] for event in told["journal"]]
    assert times[0] - times[-1] > YEARS_S - 10_000, "the clock was not set back"


@pytest.mark.heavy
def test_a_quota_that_is_used_up_is_said_and_what_was_stays(bundles, shim, tmp_path):
    root, quota = tmp_path / "board", {"FIRE_QUOTA": 2**10, "FIRE_BELOW": tmp_path / "board"}
    with server(tmp_path / "free") as found:
        edgewright("flash", bundles[1], *there(found, root), PATH=found.path)
    with server(tmp_path / "full", LD_PRELOAD=shim, **quota) as found:
        line = edgewright("flash", bundles[2], *there(found, root), check=5, PATH=found.path)
        assert "quota" in line.lower()
        assert version(root) == 1
        edgewright("status", found.url, "--root", root, PATH=found.path)
    with server(tmp_path / "again") as found:
        edgewright("flash", bundles[2], *there(found, root), PATH=found.path)
    assert version(root) == 2


HOSTILE = {
    "PYTHONPATH": "/nonexistent:/proc:/etc",
    "PYTHONOPTIMIZE": "2",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONIOENCODING": "latin-1:strict",
    "PYTHONWARNINGS": "error",
    "PYTHONINSPECT": "1",
    "PYTHONSTARTUP": "/dev/zero",
    "LC_ALL": "no_SUCH.locale",
    "LANG": "C",
    "TMPDIR": "/nonexistent",
    "HOME": "/nonexistent",
    "IFS": "e/",
    "ENV": "/dev/zero",
    "BASH_ENV": "/nonexistent",
    "COLUMNS": "-1",
    "OMP_NUM_THREADS": "-5",
    "MALLOC_CHECK_": "3",
}


def test_a_hostile_environment_changes_nothing(bundles, tmp_path):
    """Of the logins there; this machine's own PYTHONPATH stays, by which it finds what is tested."""
    root = tmp_path / "board"
    kept = {"PYTHONPATH": os.environ["PYTHONPATH"]} if "PYTHONPATH" in os.environ else {}
    with server(tmp_path / "odd", **{**HOSTILE, **kept}) as found:
        edgewright("flash", bundles[1], *there(found, root), PATH=found.path)
        assert version(root) == 1
        assert "1 release removed" in edgewright("uninstall", *there(found, root)[:-1], PATH=found.path)


def test_hostile_names_are_names(bundles, tmp_path):
    """Of the root there, all of them in one path, and of the bundle's directory here."""
    names = (
        "a b",
        "-rf",
        "$(touch planted)",
        "`touch planted`",
        "a;touch planted",
        'it\'s "quoted"',
        "模型",
        "%s%n",
        "*",
    )
    name = "".join(names)
    bundle, root = tmp_path / name, tmp_path.joinpath("there", *names)
    bundle.symlink_to(bundles[1], target_is_directory=True)
    words = ("local", "--root", root, "--python", sys.executable)
    edgewright("flash", bundle, *words, "-q", cwd=tmp_path)
    assert version(root) == 1
    assert json.loads(edgewright("status", *words, "--json", cwd=tmp_path))["active"].startswith("000001-")
    edgewright("uninstall", *words, cwd=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted({name, "there"})
    assert [path.is_dir() for path in (tmp_path / "there").rglob("*")] == [True] * (len(names) - 1)


LIAR = """\
#!{python}
import json, os, random, subprocess, sys
sys.path.insert(0, {fire!r})
import mutate
MARK = b"edgewright-answer: "
done = subprocess.run([sys.executable, *sys.argv[1:]], stdin=sys.stdin.buffer, capture_output=True)
luck = random.Random(os.environ["FIRE_SEED"] + str(os.path.getsize({count!r})))
open({count!r}, "ab").write(b".")
for line in done.stdout.splitlines(keepends=True):
    if line.startswith(MARK) and luck.random() < 0.7:
        tree = json.loads(line[len(MARK):])
        line = MARK + mutate.tree(tree, luck).replace(b"\\n", b" ") + b"\\n"
    sys.stdout.buffer.write(line)
sys.exit(done.returncode if luck.random() < 0.8 else luck.choice((1, 9, 255)))
"""


@pytest.mark.heavy
def test_a_board_that_lies_in_every_answer_gets_one_line(bundles, tmp_path):
    """Spoiled as the readers' inputs are, of what a real board says to each command."""
    count, liar = tmp_path / "count", tmp_path / "liar"
    count.touch()
    fire = str(Path(__file__).parents[1] / "fire")
    liar.write_text(LIAR.format(python=sys.executable, fire=fire, count=str(count)))
    liar.chmod(0o755)
    canary, told = tmp_path / "canary", []
    canary.write_text("nobody wrote here")
    before = {path.name for path in tmp_path.iterdir()} | {"board"}
    words = ("local", "--root", str(tmp_path / "board"), "--python", str(liar))
    commands = (
        ("flash", str(bundles[1]), *words, "-q"),
        ("status", *words),
        ("list", *words, "--json"),
        ("rollback", *words, "-q"),
        ("devices", "probe", *words),
        ("uninstall", *words),
    )
    for number in range(LIES):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("FIRE_SEED", str(number))
            out, err = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = cli._run([*commands[number % len(commands)]])
        said = [line for line in err.getvalue().splitlines() if line.startswith("edgewright: ")]
        told.append(code)
        assert code in (0, 2, 3, 4, 5, 6), (number, err.getvalue())
        assert len(said) == (1 if code else 0), (number, err.getvalue())
        assert "\x1b" not in out.getvalue() + err.getvalue(), number
        assert {path.name for path in tmp_path.iterdir()} <= before, number
    assert canary.read_text() == "nobody wrote here"
    assert any(told), "no lie was noticed"
