"""What of TensorRT can be tested without a GPU: shapes, argument vectors, refusals, the model that its parser gets."""

import importlib.util
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgewright.errors import ConversionFailed, MissingExtra
from edgewright.registry import load

pytest.importorskip("transformers")
from tiny import batch, eager, spec

without_tensorrt = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt") is not None or shutil.which("trtexec") is not None,
    reason="TensorRT is installed here",
)


@pytest.fixture(scope="module")
def model():
    return eager("Bert")


@pytest.mark.parametrize(("longest", "usual"), [(8, 8), (16, 16), (48, 48), (64, 64), (512, 64)])
def test_profile(model, longest, usual):
    from edgewright.converters._tensorrt.build import profile

    given = spec("fp32", model)
    shapes = profile(replace(given, settings=type(given.settings)(max_length=longest)))
    assert shapes == dict.fromkeys(model.inputs, ((1, 1), (1, usual), (8, longest)))


def test_arguments_of_trtexec():
    from edgewright.converters._tensorrt.build import arguments

    shapes = dict.fromkeys(("input_ids", "attention_mask"), ((1, 1), (1, 64), (8, 128)))
    assert arguments(Path("m.onnx"), Path("m.engine"), "fp16", shapes) == [
        "trtexec", "--onnx=m.onnx", "--saveEngine=m.engine", "--skipInference",
        "--minShapes=input_ids:1x1,attention_mask:1x1", "--optShapes=input_ids:1x64,attention_mask:1x64",
        "--maxShapes=input_ids:8x128,attention_mask:8x128", "--fp16",
    ]  # fmt: skip
    assert arguments(Path("m.onnx"), Path("m.engine"), "fp32", shapes)[-1].startswith("--maxShapes=")


def test_a_failing_trtexec_is_quoted(tmp_path, monkeypatch):
    from edgewright.converters._tensorrt.build import _executed

    tool = tmp_path / "trtexec"
    tool.write_text("#!/bin/sh\necho '[I] reading'\necho '[E] no GPU was found'\nexit 3\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(ConversionFailed, match=r"exit code 3: \[E\] no GPU was found"):
        _executed(["trtexec", "--onnx=m"], 10)


@without_tensorrt
def test_refused_where_tensorrt_is_not_installed(model, tmp_path):
    with pytest.raises(MissingExtra, match=r"neither tensorrt nor trtexec.*build on the Jetson"):
        load("converters", "tensorrt")().convert(model, spec("fp32", model), tmp_path / "m.engine")
    assert not (tmp_path / "m.engine").exists()


def test_the_parser_gets_plain_operators_and_the_same_model(model, tmp_path):
    from edgewright.converters._model.eager import run
    from edgewright.converters._onnx.export import export
    from edgewright.converters.tensorrt import _without_attention

    torch = pytest.importorskip("torch")
    given = spec("fp32", model)
    example = [torch.from_numpy(given.example[name]) for name in given.inputs]
    proto = _without_attention(export(model, example, given.inputs, given.outputs))
    assert "Attention" not in {node.op_type for node in proto.graph.node}
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    feeds = batch([12, 3, 1])
    got = load("runtimes", "onnxruntime")().open(tmp_path / "m.onnx", threads=1).run(feeds)["logits"]
    assert np.abs(got - run(model, feeds)["logits"]).max() < 1e-5


# the runtime


@pytest.fixture(scope="module")
def files(model, tmp_path_factory):
    """The same model at two precisions, so that one can see which session answers."""
    out, converter = tmp_path_factory.mktemp("onnx"), load("converters", "onnx")()
    for precision in ("fp32", "int8"):
        converter.convert(model, spec(precision, model), out / f"{precision}.onnx")
    return {p: out / f"{p}.onnx" for p in ("fp32", "int8")}


def opened(path):
    return load("runtimes", "onnxruntime")().open(path, threads=1)


def test_the_faster_session_takes_over_when_it_is_ready(files):
    import threading

    from edgewright.runtimes._swap import Swapping
    from edgewright.runtimes._tensorrt_cache import fits

    may_go = threading.Event()

    def make():
        may_go.wait(30)
        return opened(files["int8"])

    slow, fast = (opened(files[p]) for p in ("fp32", "int8"))
    session, proven = Swapping(slow, make, fits), []
    session.begin(proven.append)
    assert session.beside == "a faster session is being made"
    short, wide = batch([7, 3]), batch([2] * 9)
    assert np.array_equal(session.run(short)["logits"], slow.run(short)["logits"])
    assert not session.wait(0)
    may_go.set()
    assert session.wait(30)
    assert (session.beside, len(proven)) == ("the faster session serves", 1)
    assert np.array_equal(session.run(short)["logits"], fast.run(short)["logits"])
    assert not np.array_equal(session.run(short)["logits"], slow.run(short)["logits"])
    assert np.array_equal(session.run(wide)["logits"], slow.run(wide)["logits"])


def test_the_first_session_goes_on_where_the_faster_cannot_be_made(files, tmp_path):
    from edgewright.runtimes._swap import Swapping

    session = Swapping(opened(files["fp32"]), lambda: opened(tmp_path / "absent.onnx"), lambda _: True)
    session.begin(lambda _: None)
    assert not session.wait(30)
    assert "absent.onnx" in str(session.failure)
    assert session.run(batch([3]))["logits"].shape == (1, 2)


def test_a_faster_session_that_is_wrong_never_serves(files):
    from edgewright.errors import GateFailed
    from edgewright.runtimes._swap import Swapping

    def refuse(_):
        raise GateFailed("other outputs")

    session = Swapping(opened(files["fp32"]), lambda: opened(files["int8"]), lambda _: True)
    session.begin(refuse)
    assert not session.wait(30)
    assert session.beside == "no faster session: other outputs"
    assert np.array_equal(session.run(batch([3]))["logits"], opened(files["fp32"]).run(batch([3]))["logits"])


@without_tensorrt
def test_a_build_that_comes_up_without_tensorrt_is_no_engine(files, tmp_path, monkeypatch):
    """The child runs as it would on a GPU; here ONNX Runtime falls back to the CPU, which is found out."""
    from edgewright.runtimes.tensorrt import _behind

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    session = _behind(opened(files["fp32"]), files["fp32"])
    session.begin(lambda _: pytest.fail("there is nothing to prove"))
    assert not session.wait(120)
    assert "opened fp32.onnx on CPUExecutionProvider, not on TensorrtExecutionProvider" in session.beside
    assert session.run(batch([3]))["logits"].shape == (1, 2)


def test_options_of_the_provider(files, tmp_path, monkeypatch):
    from edgewright.runtimes._tensorrt_cache import cache_dir, providers

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cache = cache_dir(files["fp32"])
    ((name, options), *others) = providers(files["fp32"], cache, ["input_ids", "attention_mask"])
    assert (name, others) == ("TensorrtExecutionProvider", ["CUDAExecutionProvider", "CPUExecutionProvider"])
    assert options["trt_profile_min_shapes"] == "input_ids:1x1,attention_mask:1x1"
    assert options["trt_profile_max_shapes"] == "input_ids:8x512,attention_mask:8x512"
    assert (options["trt_fp16_enable"], options["trt_engine_cache_path"]) == ("0", str(cache))


def test_the_cache_is_private_for_each_file_tensorrt_and_gpu_and_bounded(files, tmp_path, monkeypatch):
    from edgewright.runtimes import _tensorrt_cache
    from edgewright.runtimes._tensorrt_cache import cache_dir

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "no"))
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path))
    cache = cache_dir(files["fp32"])
    assert cache.is_relative_to(tmp_path)
    assert cache.stat().st_mode & 0o777 == 0o700
    assert cache_dir(files["fp32"]) == cache != cache_dir(files["int8"])
    for version in range(6):
        monkeypatch.setattr(_tensorrt_cache, "_tensorrt_version", lambda version=version: 100 + version)
        assert cache_dir(files["fp32"]) != cache
    assert len(list(cache.parent.iterdir())) == 4
    assert not cache.exists()


def test_onnx_stays_with_onnxruntime():
    from edgewright.inference.engines import engine_for

    assert engine_for("onnx").engine == "onnxruntime"


@without_tensorrt
def test_what_is_missing_is_said(files):
    from edgewright.inference.engines import engine_for

    with pytest.raises(MissingExtra, match="no engine for onnx is installed"):
        engine_for("onnx", "tensorrt")
    with pytest.raises(MissingExtra, match="has no TensorrtExecutionProvider"):
        load("runtimes", "tensorrt")().open(files["fp32"], threads=1)
