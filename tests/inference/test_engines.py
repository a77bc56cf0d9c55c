"""Which engine opens a format."""

import pytest

from edgewright.errors import (
    UsageError,
)
from edgewright.inference.engines import engine_for, engines_of


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
