"""An artifact with right hashes that kills its engine: the child dies, whoever asked gets one line, and only once."""

import os

import pytest

from edgewright.bundle.bundle import Bundle
from edgewright.errors import ChildFailed
from edgewright.inference.pipeline import load

ENGINE = """
import os
from pathlib import Path
from edgewright.contracts.engine import Runtime, Session
import numpy as np

class Dying(Runtime):
    engine, formats, extra, module, package = "dying", ("onnx",), "onnx", "numpy", "numpy"
    def _open(self, path, *, threads):
        with open(os.environ["OPENED"], "a") as log:
            log.write(f"{os.getpid()}\\n")
        return Dies(path.read_bytes())

class Dies(Session):
    inputs = outputs = ()
    def __init__(self, data):
        self.data = data
    def run(self, feeds):
        if b"kill" in self.data:
            os.kill(os.getpid(), 11)
        return {"logits": np.zeros((feeds["input_ids"].shape[0], 2), np.float32)}
"""


@pytest.fixture
def engine(tmp_path, monkeypatch):
    """An engine that dies of some files, here and in children; where it opened one, line by line."""
    (tmp_path / "dying_engine.py").write_text(ENGINE)
    (tmp_path / "sitecustomize.py").write_text(
        "from edgewright import registry\nload = registry.load\n"
        "def found(room, name):\n"
        "    if (room, name) == ('runtimes', 'dying'):\n"
        "        import dying_engine\n        return dying_engine.Dying\n"
        "    return load(room, name)\nregistry.load = found\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("OPENED", str(tmp_path / "opened"))
    monkeypatch.syspath_prepend(tmp_path)
    import dying_engine

    monkeypatch.setattr("edgewright.inference.pipeline.engine_for", lambda *_: dying_engine.Dying())
    return tmp_path / "opened"


@pytest.fixture
def bundle(bundle_dir, monkeypatch):
    """A bundle whose artifact the test chooses; hashes are right."""
    monkeypatch.setattr(Bundle, "checking", lambda *_: lambda: None)

    def make(data):
        (bundle_dir / "onnx/model.onnx").write_bytes(data.ljust((bundle_dir / "onnx/model.onnx").stat().st_size, b" "))
        return bundle_dir

    return make


def opened_by(log):
    return log.read_text().split() if log.exists() else []


def test_an_artifact_that_kills_its_engine_kills_a_child_alone(engine, bundle):
    with pytest.raises(ChildFailed, match=r"onnx/model\.onnx is not opened: dying died of SIGSEGV"):
        load(bundle(b"kill"))
    assert str(os.getpid()) not in opened_by(engine)
    with pytest.raises(ChildFailed):
        load(bundle(b"kill"))
    assert len(opened_by(engine)) == 2, "what died once is not remembered as good"


def test_what_was_survived_is_remembered(engine, bundle):
    place = bundle(b"fine")
    for _ in range(2):
        load(place)
    assert [pid == str(os.getpid()) for pid in opened_by(engine)] == [False, True, True]


def test_no_place_to_remember_is_no_reason_to_fail(engine, bundle, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/none")
    for _ in range(2):
        load(bundle(b"fine"))
    assert len(opened_by(engine)) == 4


def test_nothing_is_looked_at_where_nobody_is_careful(engine, bundle):
    load(bundle(b"fine"), careful=False)
    assert opened_by(engine) == [str(os.getpid())]


def test_what_reading_a_model_took_is_given_back_before_the_tokenizer_takes_some(engine, bundle, monkeypatch):
    del engine
    seen, tokenizer = [], Bundle.tokenizer
    monkeypatch.setattr("edgewright.system.huge_pages.give_back", lambda: seen.append("given back"))
    monkeypatch.setattr(Bundle, "tokenizer", lambda self: seen.append("tokenizer") or tokenizer(self))
    load(bundle(b"fine"), careful=False)
    assert seen == ["given back", "tokenizer"]
