"""What is installed: each module is imported once, in a child, and a broken one is told from a missing one."""

import pytest

from edgewright import registry
from edgewright.errors import MissingExtra
from edgewright.inference import doctor


@pytest.fixture
def asked(monkeypatch):
    """The modules that were imported; `broken` ones do not import, and `missing` ones are not there."""
    seen = []

    def examine(*, broken=(), missing=()):
        def imports(module):
            seen.append(module)
            return module not in broken

        monkeypatch.setattr(doctor, "_imports", imports)
        monkeypatch.setattr(doctor.util, "find_spec", lambda name: None if name in missing else name)
        return {row["what"]: row for row in doctor.examine()}

    examine.seen = seen
    return examine


def test_every_format_and_engine_has_a_row_and_each_module_is_imported_once(asked):
    rows = asked()
    assert {f"convert to {name}" for name in registry.names("converters")} <= set(rows)
    assert {row["state"] for row in rows.values()} == {"ready"}
    assert len(asked.seen) == len(set(asked.seen)) > 5


def test_what_does_not_import_is_not_called_missing(asked):
    row = asked(broken=("onnx",))["convert to onnx"]
    assert (row["state"], row["remedy"]) == ("does not import: onnx", "pip install 'edgewright[convert]'")


def test_what_is_missing_is_not_imported(asked):
    row = asked(missing=("onnx",))["convert to onnx"]
    assert (row["state"], row["remedy"]) == ("missing: onnx", "pip install 'edgewright[convert]'")
    assert "onnx" not in asked.seen


def test_a_format_without_an_engine_that_imports_is_said(monkeypatch):
    monkeypatch.setattr(doctor, "_imports", lambda module: module == "nothing")
    with pytest.raises(MissingExtra, match=r"no engine opens onnx: .* does not import; run: pip install"):
        doctor.require_engine(["onnx"])
