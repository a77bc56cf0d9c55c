"""Which engine opens a format, and what the way to it imports."""

import subprocess
import sys
from importlib import metadata

import pytest

from edgewright import __main__, registry
from edgewright.contracts.engine import _versions
from edgewright.errors import UsageError
from edgewright.inference.engines import engine_for, engines_of
from edgewright.inference.pipeline import load
from edgewright.system import huge_pages

COLD = """
import gc, sys
from edgewright import __main__, cli
def leave(code):
    (open,) = sys.modules["edgewright.cli.run"]._open
    print(code, gc.get_threshold()[0], bool(open.session.run), *sorted(sys.modules), file=sys.stderr)
cli._leave = leave
__main__.main()
"""
UNWANTED = {
    *("bz2", "dataclasses", "email", "glob", "importlib.metadata", "logging", "lzma", "secrets", "select"),
    *("shlex", "shutil", "socket", "subprocess", "tempfile", "traceback", "zipfile", "zlib"),
}
"""Modules of Python that a script of tokenizers and ONNX Runtime alone does without: each costs it a millisecond."""


def test_every_engine_is_found_by_its_formats():
    assert [engine.engine for engine in engines_of("onnx")] == ["onnxruntime", "tensorrt"]
    assert engines_of("nonsense") == []


def test_an_unknown_engine_lists_the_engines():
    with pytest.raises(UsageError, match=r"unknown engine 'nonsense'; choose from .*onnxruntime"):
        engine_for("onnx", "nonsense")


def test_an_engine_of_another_format_is_refused():
    with pytest.raises(UsageError, match="no engine opens nonsense"):
        engine_for("nonsense", "onnxruntime")


def test_a_format_that_no_engine_opens():
    with pytest.raises(UsageError, match="no engine opens nonsense"):
        engine_for("nonsense")


def test_a_version_is_that_of_the_packages_record():
    engines = [registry.load("runtimes", name)() for name in registry.names("runtimes")]
    found = {engine.package: engine.version() for engine in engines if engine.installed()}
    assert found
    assert found == {package: metadata.version(package) for package in found}


def test_a_first_answer_imports_little(live):
    """Of a second call: the first one looks into the artifact, in a child."""
    for _ in range(2):
        argv = [sys.executable, "-c", COLD, "run", str(live), "good"]
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
    code, between, is_open, *modules = done.stderr.splitlines()[-1].split()
    assert (code, is_open) == ("0", "True"), "what answered is left to the system, not taken apart"
    assert int(between) == __main__._BETWEEN_LOOKS > 700, "what imports make stays, and is not looked through"
    assert UNWANTED & set(modules) == set()
    own = {name for name in modules if name.startswith("edgewright.")}
    assert not {name for name in own if "_profilers" in name or "preload" in name or name.endswith("child")}
    assert "edgewright.runtimes.tensorrt" not in own, "what comes behind the engine that was found"


def test_an_encoders_weights_come_onto_pages_that_are_cheap_to_touch_first(live, monkeypatch):
    asked, pages = [], huge_pages.fresh_pages
    monkeypatch.setattr(huge_pages, "fresh_pages", lambda expected: asked.append(expected) or pages(expected))
    assert load(live, careful=False)("good")[0]["label"]
    assert asked == [(live / "onnx/model.onnx").stat().st_size]


@pytest.mark.parametrize(("named", "found"), [(("2.0",), {"2.0"}), (("2.0", "1.0"), {"1.0", "2.0"}), ((), set())])
def test_a_version_is_that_of_the_directory_beside_the_package(named, found, tmp_path):
    (tmp_path / "an_engine").mkdir()
    for version in named:
        (tmp_path / f"An_Engine-{version}.dist-info").mkdir()
    (tmp_path / "an_engine_gpu-3.0.dist-info").mkdir()
    assert _versions("an-engine", [str(tmp_path / "an_engine")]) == found


def test_of_two_such_directories_none_is_believed(monkeypatch):
    """As an install that was cut short leaves them."""
    monkeypatch.setattr("edgewright.contracts.engine._versions", lambda *_: {"1.0", "2.0"})
    assert engine_for("onnx").version() == metadata.version("onnxruntime")
