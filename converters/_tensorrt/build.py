"""ONNX -> a TensorRT engine, by TensorRT's Python API or by `trtexec` where only that is there."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

from edgewright.errors import ConversionFailed, MissingExtra, UnsupportedConversion
from edgewright.text.buckets import MOST_ROWS, USUAL_LENGTH, buckets

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from edgewright.contracts.converter import ConversionSpec
    from edgewright.contracts.precision import Precision

__all__ = ["arguments", "build", "check_builder", "profile"]

_Shapes = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


def profile(spec: ConversionSpec) -> dict[str, _Shapes]:
    """The least, usual and largest (batch, length) of each input; the usual length is a bucket."""
    longest = spec.settings.max_length
    usual = max(bucket for bucket in buckets(longest) if bucket <= max(USUAL_LENGTH, buckets(longest)[0]))
    rows = max(MOST_ROWS, *(len(array) for array in spec.example.values()))
    return dict.fromkeys(spec.inputs, ((1, 1), (1, usual), (rows, longest)))


def arguments(onnx: Path, engine: Path, precision: Precision, shapes: Mapping[str, _Shapes]) -> list[str]:
    """The argument vector of `trtexec`."""
    found = ["trtexec", f"--onnx={onnx}", f"--saveEngine={engine}", "--skipInference"]
    for at, side in enumerate(("min", "opt", "max")):
        each = (f"{name}:{'x'.join(map(str, three[at]))}" for name, three in shapes.items())
        found.append(f"--{side}Shapes={','.join(each)}")
    return [*found, "--fp16"] if precision == "fp16" else found


def check_builder() -> None:
    """Raise MissingExtra where this machine has no way to build an engine."""
    if not importlib.util.find_spec("tensorrt") and not shutil.which("trtexec"):
        hint = "build on the Jetson itself: JetPack has both"
        raise MissingExtra("neither tensorrt nor trtexec is installed", hint=hint)


def build(
    onnx: Path, engine: Path, precision: Precision, shapes: Mapping[str, _Shapes], *, timeout_s: float = 3600
) -> None:
    """Build `engine` from `onnx` on this machine's GPU.

    Raises:
        MissingExtra: TensorRT is not here.
        UnsupportedConversion: the parser refuses an operator, or this TensorRT has no such precision.
        ConversionFailed: the builder gave up.
    """
    check_builder()
    if importlib.util.find_spec("tensorrt"):
        engine.write_bytes(_built(onnx, precision, shapes))
    else:
        _executed(arguments(onnx, engine, precision, shapes), timeout_s)


def _executed(argv: Sequence[str], timeout_s: float) -> None:
    done = subprocess.run(argv, capture_output=True, encoding="utf-8", errors="replace", timeout=timeout_s, check=False)
    if done.returncode:
        words = [line for line in (done.stdout + done.stderr).splitlines() if "[E]" in line] or ["no error line"]
        raise ConversionFailed(f"trtexec ended with exit code {done.returncode}: {words[0]}")


def _built(onnx: Path, precision: Precision, shapes: Mapping[str, _Shapes]) -> bytes:
    import tensorrt

    builder = tensorrt.Builder(tensorrt.Logger(tensorrt.Logger.ERROR))
    network = builder.create_network(0)  # TensorRT 10 knows nothing but explicit batches
    parser = tensorrt.OnnxParser(network, tensorrt.Logger(tensorrt.Logger.ERROR))
    if not parser.parse(onnx.read_bytes()):
        words = "; ".join(sorted({parser.get_error(at).desc() for at in range(parser.num_errors)}))
        raise UnsupportedConversion(f"TensorRT {tensorrt.__version__} cannot read the model: {words}", hint="use onnx")
    config = builder.create_builder_config()
    least_usual_most = builder.create_optimization_profile()
    for name, three in shapes.items():
        least_usual_most.set_shape(name, *three)
    config.add_optimization_profile(least_usual_most)
    if precision == "fp16":
        config.set_flag(_fp16(tensorrt))
    serialized = builder.build_serialized_network(network, config)
    if serialized is None:
        raise ConversionFailed(
            f"TensorRT {tensorrt.__version__} built no engine", hint="is there a GPU with free memory?"
        )
    return bytes(serialized)


def _fp16(tensorrt: Any) -> Any:
    flag = getattr(tensorrt.BuilderFlag, "FP16", None)
    if flag is None:
        what = f"TensorRT {tensorrt.__version__} has no fp16 flag, it takes the types of the model"
        raise UnsupportedConversion(what, hint="use TensorRT 10, or the onnx format at fp16")
    return flag
