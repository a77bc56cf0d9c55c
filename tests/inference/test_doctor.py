"""Engines that are installed and cannot run: why, and what helps, is said wherever one is asked for."""

import pytest

from edgewright.errors import MissingExtra
from edgewright.inference import doctor

ENDS = {
    "import os, signal; os.kill(os.getpid(), signal.SIGILL)": ("died of SIGILL", "another version or engine"),
    "import os, signal; os.kill(os.getpid(), signal.SIGKILL)": ("was killed, most likely because", "more memory"),
    "raise ImportError('libm.so.6: version `GLIBC_2.38 not found')": ("does not import: .*GLIBC_2.38", "older version"),
    "raise ImportError('no such symbol')": ("does not import: ImportError: no such symbol", "pip install 'edgewright"),
}


@pytest.fixture(params=ENDS, ids=["instruction", "memory", "system", "other"])
def engine(request, tmp_path, monkeypatch):
    """An engine of ONNX whose import ends badly; the words and the remedy."""
    (tmp_path / "broken_engine.py").write_text(request.param)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    monkeypatch.syspath_prepend(tmp_path)

    class Broken:
        module, package, extra, formats, engine = "broken_engine", "broken_engine", "onnx", ("onnx",), "broken"

        def installed(self):
            return True

    monkeypatch.setattr(doctor, "engines_of", lambda _: [Broken()])
    return ENDS[request.param]


def test_why_an_engine_does_not_run_is_said_and_what_helps(engine):
    words, remedy = engine
    with pytest.raises(MissingExtra, match=f"no engine opens onnx: broken_engine {words}.*{remedy}"):
        doctor.require_engine(("onnx",))


def test_doctor_says_the_same(engine):
    words, remedy = engine
    row = doctor._row("run onnx", ("broken_engine",), (), "onnx")
    assert row["state"].startswith("does not import: broken_engine ")
    assert remedy in row["remedy"]
    assert words.split(":")[0] in row["state"]
