"""Whatever the locale: files are UTF-8, and what is printed never ends a stream."""

import json
import os
import pty
import shutil
import subprocess
import sys

import pytest

TEXTS = ["un café", "这部电影拍得很好", "best 🎉"]
LOCALES = {"de_DE.ISO-8859-1": ("de_DE", "ISO-8859-1"), "ja_JP.EUC-JP": ("ja_JP", "EUC-JP")}


@pytest.fixture(scope="module")
def locales(tmp_path_factory):
    """A directory of locales that the system need not have."""
    if not shutil.which("localedef"):
        pytest.skip("localedef is not installed")
    root = tmp_path_factory.mktemp("locales")
    for name, (language, charmap) in LOCALES.items():
        subprocess.run(["localedef", "-i", language, "-f", charmap, str(root / name)], capture_output=True, check=False)
    if not all((root / name).is_dir() for name in LOCALES):
        pytest.skip("the sources of the locales are not installed")
    return root


@pytest.fixture(params=LOCALES)
def there(request, locales):
    """The environment of a process in a locale."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PYTHONUTF8"))}
    return {**own, "LOCPATH": str(locales), "LC_ALL": request.param}


def test_a_pipe_gets_utf_8(live, there, tmp_path):
    (tmp_path / "in.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    argv = [sys.executable, "-m", "edgewright", "run", str(live), "--input", str(tmp_path / "in.txt")]
    done = subprocess.run(argv, env=there, capture_output=True, check=False)
    assert (done.returncode, done.stderr.decode()) == (0, "edgewright: in.txt: a text a line\n")
    assert [json.loads(line)["text"] for line in done.stdout.decode("utf-8").splitlines()] == TEXTS


def test_a_terminal_gets_what_it_can_show_and_json_stays_json(live, there, tmp_path):
    (tmp_path / "in.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    ours, theirs = pty.openpty()
    argv = [sys.executable, "-m", "edgewright", "run", str(live), "--input", str(tmp_path / "in.txt")]
    with subprocess.Popen(argv, env=there, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        while piece := _read(ours):
            shown += piece
    os.close(ours)
    lines = shown.decode(there["LC_ALL"].partition(".")[2]).splitlines()
    assert process.returncode == 0, shown
    assert [json.loads(line)["text"] for line in lines if line.startswith("{")] == TEXTS
    assert rb"\ud83c\udf89" in shown


def _read(terminal):
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other end was closed
        return b""


def test_an_error_with_every_character_is_one_line(there, tmp_path):
    argv = [sys.executable, "-m", "edgewright", "inspect", str(tmp_path / "电影🎉")]
    done = subprocess.run(argv, env={**there, "PYTHONIOENCODING": "ascii"}, capture_output=True, check=False)
    assert done.returncode in (2, 3)
    assert done.stderr.count(b"\n") == 1


def test_a_tokenizers_settings_are_read_as_utf_8(there, tokenizer_dir):
    path = tokenizer_dir / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**config, "note": "电影"}, ensure_ascii=False), encoding="utf-8")
    code = "import pathlib, sys; from edgewright.text.tokenizer import Tokenizer\n"
    code += "print(Tokenizer(pathlib.Path(sys.argv[1]), 16).mask_token)"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tokenizer_dir)], env=there, capture_output=True, check=False, text=True
    )
    assert (done.returncode, done.stdout) == (0, "[MASK]\n"), done.stderr
