"""A board that has another version of edgewright, and a board of this version that another one asks.

`tools/versions REVISION` runs this: it is no part of the gate, as a checkout need not hold its history. Each way, over
a real sshd and a real adbd: flashed, upgraded, listed, asked, verified, measured, rolled back, removed.
"""

import json
import os
import site
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path

import pytest
from adb_world import ADBD
from conftest import ROOT, only, second
from loopback import Sshd, serve

TEXT = "a charming and often affecting journey"


def environment_of(source, out):
    """The Python of an environment with the edgewright of a source tree, and this one's other packages."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", out], check=True)
    target = Path(sysconfig.get_path("purelib", vars={"base": str(out)}))
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(source)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = Path(out).glob("*.whl")
    install = ["install", "--quiet", "--no-deps", "--no-index", "--target", str(target), str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", *install], check=True)
    (target / "engines.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    return str(out / "bin/python")


@pytest.fixture(scope="module")
def pythons(tmp_path_factory):
    """The Python of this version and of the other one."""
    folder, found = tmp_path_factory.mktemp("versions"), {}
    for name, revision in (("this", "HEAD"), ("other", os.environ["OTHER_REVISION"])):
        packed = folder / f"{name}.tar"
        subprocess.run(["git", "archive", "--output", packed, revision], cwd=ROOT, check=True)
        with tarfile.open(packed) as archive:
            archive.extractall(folder / f"{name}-source", filter="data")
        found[name] = environment_of(folder / f"{name}-source", folder / name)
    return found


@pytest.fixture(scope="module")
def sshd(tmp_path_factory):
    found = serve(Sshd, tmp_path_factory.mktemp("sshd"))
    yield found
    found.stop()


@pytest.fixture
def way(request):
    """The URL of a board, and what leads to it."""
    if request.param == "adb":
        request.getfixturevalue("adb_world")
        return f"adb://127.0.0.1:{ADBD}", os.environ["PATH"]
    sshd = request.getfixturevalue("sshd")
    return sshd.url, sshd.path


@pytest.mark.parametrize("way", ["ssh", "adb"], indirect=True)
@pytest.mark.parametrize(("host", "board"), [("this", "other"), ("other", "this")])
def test_versions_work_together(way, host, board, pythons, demo_bundle, tmp_path):
    url, path = way
    first = only(demo_bundle, tmp_path / "1", "int8")
    last = second(first, tmp_path / "2")
    there = ["--root", str(tmp_path / "board"), "--python", pythons[board]]
    environment = {**os.environ, "PATH": path, "PYTHONPATH": ""}

    def asked(*words):
        argv = [pythons[host], "-m", "edgewright", *map(str, words), *there]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path)
        print(f"{host} asks {board}, {url.split(':')[0]}: {words[0]} -> {done.returncode} {done.stderr.strip()[:300]}")
        assert done.returncode == 0, done.stderr
        return done.stdout

    flashed = json.loads(asked("flash", first, url, "--json", "-q"))
    assert [row["golden"] for row in flashed["rows"]] == ["7 of 7"]
    assert json.loads(asked("flash", last, url, "--json", "-q"))["flash"]["sent"] == ["config.json"]
    assert [row["role"] for row in json.loads(asked("list", url, "--json"))["rows"]] == ["active", "previous"]
    answer = json.loads(asked("run", last, TEXT, "--device", url))["answer"][0]
    assert "positive" in answer.values()
    verified = json.loads(asked("verify", last, "--device", url, "--json", "-q"))["rows"]
    assert [row["golden"] for row in verified] == ["7 of 7"]
    bench = ("bench", last, "--device", url, "--tokens", "16", "--processes", "1", "--runs", "5", "--json", "-q")
    assert json.loads(asked(*bench))["rows"]
    assert "000001-" in asked("rollback", url, "-q")
    rows = json.loads(asked("status", url, "--json"))["rows"]
    assert [(row["role"], row["problem"]) for row in rows] == [("previous", None), ("active", None)]
    assert "2 releases removed" in asked("uninstall", url)
