from pathlib import Path

import numpy as np
import pytest

from edgewright.bundle.manifest import Settings
from edgewright.contracts import converter
from edgewright.contracts.converter import ConversionSpec, Converter
from edgewright.contracts.engine import Runtime
from edgewright.errors import (
    ConversionFailed,
    EngineError,
    MissingExtra,
    UnsupportedConversion,
)

SPEC = ConversionSpec(
    "fp32",
    ("input_ids",),
    ("logits",),
    {"input_ids": np.ones((2, 3), np.int64)},
    "text-classification",
    Settings(max_length=8),
    Path("unread"),
)


class Raising(Converter, Runtime):
    """A converter and an engine that raise what they are given."""

    format = engine = "raising"
    precisions, formats = ("fp32",), ("raising",)
    extra, requires = "raising", ()
    module = package = "no_such_module"

    def __init__(self, error):
        self.error = error

    @staticmethod
    def path(precision):
        return f"raising/{precision}"

    def _convert(self, model, spec, out):  # noqa: ARG002
        raise self.error

    def _open(self, path, *, threads):  # noqa: ARG002
        raise self.error


def wrapped():
    """An error with pages of advice around its reason."""
    error = RuntimeError("here are\npages of advice")
    error.__cause__ = KeyError("aten::weird")
    return error


def test_a_converters_error_is_narrowed_to_its_reason(tmp_path):
    with pytest.raises(ConversionFailed, match=r"^raising fp32: KeyError: 'aten::weird'$") as caught:
        Raising(wrapped()).convert(None, SPEC, tmp_path / "out")
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_an_engines_error_is_narrowed(tmp_path):
    with pytest.raises(EngineError, match=r"^raising cannot open model\.x: ValueError: bad magic$"):
        Raising(ValueError("bad magic")).open(tmp_path / "model.x", threads=1)


@pytest.mark.parametrize("error", [UnsupportedConversion("no"), MissingExtra("no"), KeyboardInterrupt(), SystemExit(3)])
def test_our_own_errors_and_interruptions_pass(error, tmp_path):
    with pytest.raises(type(error)) as caught:
        Raising(error).convert(None, SPEC, tmp_path)
    assert caught.value is error
    with pytest.raises(type(error)) as caught:
        Raising(error).open(tmp_path, threads=1)
    assert caught.value is error


def test_an_engine_that_is_not_installed_says_how_to_get_it():
    assert not Raising(None).installed()
    with pytest.raises(MissingExtra, match=r"pip install 'edgewright\[raising\]'"):
        Raising(None).import_engine()


@pytest.mark.parametrize("name", converter.__all__)
def test_a_seam_cannot_be_used_without_its_implementation(name):
    kind = getattr(converter, name)
    if getattr(kind, "__abstractmethods__", None):
        with pytest.raises(TypeError, match="abstract"):
            kind()
