import sys
from pathlib import Path

import numpy as np
import pytest

from edgewright.bundle.manifest import Settings
from edgewright.contracts import converter
from edgewright.contracts.converter import ConversionSpec, Converter
from edgewright.contracts.engine import Runtime
from edgewright.contracts.transport import Completed
from edgewright.devices.local import Local
from edgewright.errors import (
    ConversionFailed,
    DeviceError,
    EngineError,
    MissingExtra,
    UnsupportedConversion,
    UsageError,
)
from edgewright.inference.engines import engine_for, engines_of

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


# engines


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


# this machine as a device


def python(code):
    return [sys.executable, "-c", code]


def test_a_program_runs_and_its_words_come_back_as_bytes():
    code = "import sys; sys.stdout.write(sys.stdin.read()[::-1]); sys.stderr.write('e'); sys.exit(7)"
    assert Local().run(python(code), timeout_s=20, stdin=b"abc") == Completed(7, b"cba", b"e")


@pytest.mark.parametrize("odd", ["; rm -rf /", "$(id)", "a b", "*", "-n", "\n", "'\""])
def test_arguments_are_never_read_by_a_shell(odd):
    done = Local().run([*python("import sys; print(sys.argv[1:])"), odd], timeout_s=20)
    assert done.stdout.decode().strip() == repr([odd])


def test_a_program_that_takes_too_long_is_ended():
    with pytest.raises(DeviceError, match=r"took longer than 0\.3 s and was ended"):
        Local().run(python("import time; time.sleep(30)"), timeout_s=0.3)


def test_a_program_that_is_not_there_is_a_device_error():
    with pytest.raises(DeviceError, match="could not run no-such-program: FileNotFoundError"):
        Local().run(["no-such-program"], timeout_s=5)


def test_files_go_there_and_back(tmp_path):
    (tmp_path / "a").write_bytes(b"\0data")
    Local().push(tmp_path / "a", str(tmp_path / "b"))
    Local().pull(str(tmp_path / "b"), tmp_path / "c")
    assert (tmp_path / "c").read_bytes() == b"\0data"


def test_a_file_that_is_not_there_is_a_device_error(tmp_path):
    with pytest.raises(DeviceError, match="could not push gone"):
        Local().push(tmp_path / "gone", str(tmp_path / "b"))
    with pytest.raises(DeviceError, match=r"could not pull .*gone"):
        Local().pull(str(tmp_path / "gone"), tmp_path / "b")
