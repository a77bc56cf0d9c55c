"""What a machine may do to a command: streams closed or of another encoding, no home, no place for temporary files."""

import json
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgewright.errors import StorageError
from edgewright.system import streams, vitals
from edgewright.system.files import home
from edgewright.system.interpreter import here

EDGEWRIGHT = here("edgewright")


def run(*words, **options):
    return subprocess.run([*EDGEWRIGHT, *map(str, words)], capture_output=True, check=False, timeout=60, **options)


def one_line(done, code):
    """The one line that a command ends with."""
    said = done.stderr.decode(errors="replace")
    assert done.returncode == code, said
    assert said.startswith("edgewright: "), said
    assert said.count("\n") == 1, said
    return said


@pytest.mark.parametrize("closed", ["0", "1", "2", "012"])
def test_a_closed_stream_is_no_reason_to_fail(bundle_dir, closed):
    words = " ".join(f"{number}>&-" if number != "0" else "0<&-" for number in closed)
    script = f'exec "$@" {words}'
    done = subprocess.run(
        ["sh", "-c", script, "sh", *EDGEWRIGHT, "inspect", bundle_dir, "--json"], capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert ("1" in closed) == (done.stdout == b"")


def test_whoever_reads_may_stop():
    done = subprocess.run(
        [
            "bash",
            "-c",
            '"$@" | head -1 >/dev/null; exit ${PIPESTATUS[0]}',
            "sh",
            *EDGEWRIGHT,
            "devices",
            "list",
            "--json",
        ],
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_json_stays_json_in_every_encoding(bundle_dir, encoding):
    label = "n\u00e9gatif \u4f60\u597d \U0001f600"
    tree = json.loads((bundle_dir / "manifest.json").read_bytes())
    tree["settings"]["labels"] = [label, "positive"]
    (bundle_dir / "manifest.json").write_text(json.dumps(tree))
    done = run("inspect", bundle_dir, "--json", env={**os.environ, "PYTHONIOENCODING": encoding})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.decode(encoding))["manifest"]["settings"]["labels"][0] == label


def test_a_name_that_is_no_utf_8_is_shown_all_the_same(bundle_dir):
    place = bundle_dir.parent / os.fsdecode(b"b\xff")
    shutil.copytree(bundle_dir, place)
    done = run("inspect", place, "--json")
    assert done.returncode == 0, done.stderr


def test_no_place_for_temporary_files_is_said(bundle_dir):
    code = (
        "import os, sys, tempfile\n"
        "tempfile._candidate_tempdir_list = lambda: ['/nowhere']\n"
        "from edgewright.cli import main\n"
        "sys.argv = ['edgewright', 'sign', sys.argv[1], '--key', sys.argv[1] + '/config.json']\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", code, bundle_dir], capture_output=True, check=False)
    assert "set TMPDIR to a directory that can be written" in one_line(done, 3)


def test_a_user_without_a_home_lists_the_boards_all_the_same():
    bare = {name: value for name, value in os.environ.items() if name not in ("HOME", "XDG_CONFIG_HOME")}
    code = (
        "import os, pathlib, sys\nos.setuid(12345) if os.geteuid() == 0 else None\n"
        "from edgewright.boards.catalogue import written_profiles\nprint(len(written_profiles()))"
    )
    warm = "from edgewright.boards import catalogue; catalogue.written_profiles(); import pwd\n"
    done = subprocess.run([sys.executable, "-c", warm + code], capture_output=True, check=False, env=bare)
    assert int(done.stdout) > 0, done.stderr


def test_no_home_names_what_would_do(monkeypatch):
    def nobody():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("pathlib.Path.home", nobody)
    with pytest.raises(StorageError, match=r"no home directory for \.cache; set HOME, or XDG_CACHE_HOME"):
        home("XDG_CACHE_HOME", ".cache")


@pytest.mark.parametrize("command", ["--help", "train --help", "inspect --help", "devices list"])
def test_a_python_without_docstrings_and_asserts_does(command):
    done = run(*command.split(), env={**os.environ, "PYTHONOPTIMIZE": "2", "PYTHONDONTWRITEBYTECODE": "1"})
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_limit_of_the_system_is_named(bundle_dir, tmp_path):
    def few():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    said = one_line(run("pack", bundle_dir, "--out", tmp_path / "b.tar", preexec_fn=few), 3)
    assert "File too large" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle"]


def asleep(pid):
    """Wait until a process, which has had a second to begin, does nothing for half a second."""
    began, since = time.monotonic(), None
    while time.monotonic() - began < 60:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        since = (since or time.monotonic()) if state == "S" else None
        if since and time.monotonic() - max(since, began + 1) > 0.5:
            return
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_closed_terminal_leaves_nothing_behind(bundle_dir, tmp_path, number):
    os.mkfifo(tmp_path / "slow")
    asked = "--default-signal=TERM,HUP,INT"  # whoever runs the tests may ignore one, as nohup does
    argv = ["env", asked, *EDGEWRIGHT, "pack", bundle_dir, "--out", tmp_path / "slow"]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, start_new_session=True) as child:
        asleep(child.pid)  # it waits for a reader
        child.send_signal(number)
        said = child.stderr.read()
    assert (child.returncode, said) == (130, b"\nedgewright: interrupted; nothing was left behind\n")
    assert stat.S_ISFIFO((tmp_path / "slow").stat().st_mode)


def test_a_character_is_escaped_as_json_has_it():
    text = "\u00e9\U0001f600\udc80"
    found = text.encode("ascii", "edgewright") if streams.mend() is None else b""
    assert json.loads(b'"' + found + b'"') == text


def test_a_firmware_that_hangs_is_no_reason_to_wait(tmp_path, monkeypatch):
    (tmp_path / "vcgencmd").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "vcgencmd").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(vitals, "_ASK_S", 0.2)
    assert vitals.machine_state()["throttled"] is None


def test_a_kernel_that_does_not_tell_the_peak_of_memory_is_asked_in_another_way(monkeypatch):
    known = vitals.peak_rss_mib()
    monkeypatch.setattr(vitals._HERE, "text", lambda _: None, raising=False)
    assert vitals.peak_rss_mib() == pytest.approx(known, rel=0.2)


def test_the_end_of_a_command_removes_the_sources_that_were_made_plain(tmp_path):
    """It ends without Python's own end, so that none of what waits for that is done."""
    code = (
        "import contextlib, sys, tempfile; tempfile.tempdir = sys.argv.pop()\n"
        "from edgewright.cli import main; from edgewright.model import settle\n"
        "from edgewright.system.files import scratch\n"
        "made = contextlib.ExitStack(); (made.enter_context(scratch()) / 'weights').write_bytes(bytes(9))\n"
        "settle._made.append(made); sys.argv[1:] = ['--version']; main()"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True, capture_output=True)
    assert not list(tmp_path.iterdir())
