"""What is installed, and why an engine that is cannot run: said wherever one is asked for."""

import pytest

from edgewright import registry
from edgewright.errors import MissingExtra
from edgewright.inference import doctor


@pytest.fixture
def asked(monkeypatch):
    """The modules that were imported; `broken` ones do not import, and `missing` ones are not there."""
    seen = []

    def examine(*, broken=(), missing=()):
        def problem(*modules):
            seen.append(modules)
            return "dies" if set(modules) & set(broken) else ""

        monkeypatch.setattr(doctor, "_problem", problem)
        own = doctor.util.find_spec

        def find(name):
            return None if name in missing else own(name) if name.startswith("edgewright") else name

        monkeypatch.setattr(doctor.util, "find_spec", find)
        return {row["what"]: row for row in doctor.examine()}

    examine.seen = seen
    return examine


def test_every_format_and_engine_has_a_row_and_each_module_is_imported_once(asked):
    rows = asked()
    assert {f"convert to {name}" for name in registry.names("converters")} <= set(rows)
    assert {row["state"] for row in rows.values()} == {"ready"}
    (together,) = asked.seen
    assert len(together) == len(set(together)) > 5


def test_what_does_not_import_is_not_called_missing(asked):
    rows = asked(broken=("onnx",))
    row = rows["convert to onnx"]
    assert (row["state"], row["remedy"]) == ("does not import: onnx dies", "pip install 'edgewright[convert]'")
    assert rows["convert to executorch"]["state"] == "ready", "the others were asked alone"
    together, *alone = asked.seen
    assert sorted(alone) == sorted((name,) for name in together)


def test_what_is_missing_is_not_imported(asked):
    row = asked(missing=("onnx",))["convert to onnx"]
    assert (row["state"], row["remedy"]) == ("missing: onnx", "pip install 'edgewright[convert]'")
    assert not [modules for modules in asked.seen if "onnx" in modules]


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
    part = doctor._Part("run onnx", ("broken_engine",), (), "onnx")
    row = part.row({name: doctor._problem(name) for name in part.modules})
    assert row["state"].startswith("does not import: broken_engine ")
    assert remedy in row["remedy"]
    assert words.split(":")[0] in row["state"]
