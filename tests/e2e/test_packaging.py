"""The wheel: small, complete, one top-level name; and on a board, where there is no torch, it runs a bundle."""

import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT, edgewright

SHIPPED = (".py", ".toml", ".json", ".css", ".c", ".h", ".txt", ".html", ".js", ".ts", ".wasm", ".kt", ".kts",
           ".xml", ".pro", ".properties", ".swift", ".modulemap")  # fmt: skip
ROOMS = {"sdk": "edgewright", "converters": "edgewright/converters", "runtimes": "edgewright/runtimes",
         "devices": "edgewright/devices"}  # fmt: skip
PROBE = "import importlib.util, sys; sys.exit(importlib.util.find_spec('torch') is not None)"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy: setuptools would leave its work in the checkout, and find it again the next time."""
    out, copy = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("source") / "edgewright"
    shutil.copytree(
        ROOT, copy, ignore=shutil.ignore_patterns(".*", "build", "tests", "demo", "*.egg-info", "__pycache__")
    )
    argv = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(copy)]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    (out / "log").write_text(done.stdout + done.stderr)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def board(wheel, tmp_path_factory):
    """A clean environment with the wheel and its `onnx` extra alone."""
    home = tmp_path_factory.mktemp("board") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
    pip = [str(home / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    subprocess.run([*pip, f"{wheel}[onnx]"], check=True, stderr=subprocess.DEVNULL)
    return home / "bin"


@pytest.fixture(scope="module")
def part(tmp_path_factory):
    """The wheel of the board's part alone, as somebody makes it who installs it there himself."""
    out = tmp_path_factory.mktemp("part")
    (row,) = json.loads(edgewright("devices", "wheel", "--out", out, "--json"))["rows"]
    assert row["size_bytes"] < 900_000
    return Path(row["wheel"])


@pytest.fixture(scope="module")
def small(part, tmp_path_factory):
    """The line of the README for a small disk, with nothing that the packages would bring."""
    home = tmp_path_factory.mktemp("small") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
    pip = [str(home / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps"]
    packages = ["numpy", "tokenizers", "click", "msgspec", "onnxruntime"]
    subprocess.run([*pip, str(part), *packages], check=True, stderr=subprocess.DEVNULL)
    return home / "bin"


def test_the_boards_part_asks_for_what_the_whole_does(board, part):
    """Where that is installed, pip has nothing to fetch for it, its extra of an engine included."""
    argv = [str(board / "python"), "-m", "pip", "install", "--dry-run", "--no-index", f"{part}[onnx]"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "does not provide" not in done.stderr
    found = set(re.findall(r"already satisfied: (\w+)[^\n]* \(from edgewright", done.stdout))
    assert found >= {"numpy", "tokenizers", "click", "msgspec", "onnxruntime"}


def test_the_boards_part_passes_its_licence_on(part):
    with zipfile.ZipFile(part) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/LICENSE"))
        assert archive.read(name) == (ROOT / "LICENSE").read_bytes()
        assert b"\nLicense: Apache-2.0\n" in archive.read(name.replace("LICENSE", "METADATA"))


def test_what_an_answer_needs_is_enough(small, demo_bundle):
    """doctor says ready, run and verify work, and nothing of the hub's client is there."""
    argv = [str(small / "edgewright"), "doctor", "--json"]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    rows = {row["what"]: row for row in json.loads(done.stdout)["rows"]}
    assert rows["run onnx, ort on onnxruntime"]["state"] == "ready"
    assert "30 MB" not in done.stderr
    done = subprocess.run([str(small / "edgewright"), "run", str(demo_bundle), "fine"], check=True, capture_output=True)
    assert b"positive" in done.stdout
    subprocess.run([str(small / "edgewright"), "verify", str(demo_bundle), "-q"], check=True, capture_output=True)
    assert not list(small.parent.glob("lib/python*/site-packages/huggingface_hub"))
    done = subprocess.run(
        [str(small / "edgewright"), "push", str(demo_bundle), "a/b"], capture_output=True, check=False
    )
    assert (done.returncode, b"this edgewright is a board's part alone" in done.stderr) == (6, True)


@pytest.mark.heavy
def test_doctor_says_what_a_small_disk_can_do_without(board):
    done = subprocess.run([str(board / "edgewright"), "doctor"], check=True, capture_output=True, text=True)
    assert "some 30 MB that no answer needs" in " ".join(done.stdout.split())


def test_setuptools_misses_no_package(wheel):
    """Of each directory of templates it said so with two dozen lines, which pip shows whoever installs a checkout."""
    assert "adding 'edgewright/exporting/web_project/" in (log := wheel.with_name("log").read_text())
    assert "absent from the `packages` configuration" not in log


def test_the_index_takes_its_description(wheel):
    pytest.importorskip("twine")
    done = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", str(wheel)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_a_bill_of_materials_has_what_the_wheel_brings(board, tmp_path):
    """As `.github/workflows/publish.yml` makes it; its maker holds it against CycloneDX's schema."""
    pytest.importorskip("cyclonedx_py")
    lines = (ROOT / ".github/workflows/publish.yml").read_text().splitlines()
    (line,) = (line for line in lines if "cyclonedx-py environment" in line)
    words = line.partition("cyclonedx-py ")[2].replace("bom/bin/python", str(board / "python")).split()
    argv = [sys.executable, "-m", "cyclonedx_py", *words[:-1], str(tmp_path / "sbom.json")]
    subprocess.run(argv, cwd=ROOT, check=True, capture_output=True)
    found = json.loads((tmp_path / "sbom.json").read_text())
    about = found["metadata"]["component"]
    assert (about["name"], about["licenses"][0]["license"]["id"]) == ("edgewright", "Apache-2.0")
    parts = {one["name"]: one for one in found["components"]}
    assert parts.keys() >= {"numpy", "tokenizers", "click", "msgspec", "onnxruntime"}
    assert not parts.keys() & {"torch", "transformers", "edgewright"}
    assert parts["numpy"]["purl"] == f"pkg:pypi/numpy@{parts['numpy']['version']}"


def test_size(wheel):
    """Source, Kotlin, Swift and C of apps' libraries, and 60 kB of WebAssembly, which write and translate: no extras.

    A megabyte of it is Python, which a wheel deflates file by file; the strongest deflate takes 2.5 % off, the exports'
    templates in one archive 6 %: neither is worth a step of the build, nor would both come near the 0.8 MB that a board
    is sent (tests/boards/test_own_wheel.py).
    """
    assert wheel.stat().st_size < 1_620_000
    with zipfile.ZipFile(wheel) as archive:
        parts = {part.filename: part.compress_size for part in archive.infolist() if "dist-info" not in part.filename}
    assert parts.pop("edgewright/exporting/web_project/edgewright.wasm") < 64_000, (
        "the C core, compiled: it writes and translates, too"
    )
    assert max(parts.values()) < 10_000, "no file of data came along"


def test_holds_every_module_and_profile_under_one_name(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"edgewright"}
    kept = {
        f"{package}/{path.relative_to(ROOT / room).as_posix()}"
        for room, package in ROOMS.items()
        for path in (ROOT / room).rglob("*")
        if path.suffix in SHIPPED or path.name == "py.typed"
    }
    assert {name for name in names if name.startswith("edgewright/")} == kept


def test_runs_a_bundle_without_torch(board, demo_bundle):
    subprocess.run([str(board / "python"), "-c", PROBE], check=True)
    argv = [str(board / "edgewright"), "run", str(demo_bundle), "a charming and often affecting journey"]
    row = json.loads(subprocess.run(argv, check=True, capture_output=True, text=True, cwd=board).stdout)
    assert row["answer"][0]["label"] == "positive"


def test_verify_and_doctor_without_torch(board, demo_bundle):
    done = subprocess.run(
        [str(board / "edgewright"), "verify", str(demo_bundle), "--json"], check=True, capture_output=True, text=True
    )
    assert [r["golden"] for r in json.loads(done.stdout)["rows"]] == ["7 of 7", "7 of 7"]
    done = subprocess.run([str(board / "edgewright"), "doctor", "--json"], check=True, capture_output=True, text=True)
    rows = {r["what"]: r for r in json.loads(done.stdout)["rows"]}
    assert rows["run onnx, ort on onnxruntime"]["state"] == "ready"
    assert rows["convert to onnx"]["state"].startswith("missing: torch")
    assert "edgewright[convert]" in rows["convert to onnx"]["remedy"]


def test_every_profile_is_read_there(board):
    done = subprocess.run([str(board / "edgewright"), "devices", "list", "--json"], check=True, capture_output=True)
    listed = {row["profile"] for row in json.loads(done.stdout)["rows"]}
    assert listed == {path.stem for path in (ROOT / "devices" / "profiles").glob("*.toml")}


def test_build_names_the_missing_extra(board, tmp_path):
    argv = [str(board / "edgewright"), "build", str(ROOT / "tools" / "demo" / "model"), "--out", str(tmp_path / "b")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 6
    assert "pip install 'edgewright[convert]'" in done.stderr
