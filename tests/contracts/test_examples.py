"""The examples in the docstrings of the seams, carried out as a newcomer would who puts each into a file of its own."""

import importlib
import importlib.util
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgewright.bundle.manifest import Settings
from edgewright.contracts.converter import ConversionSpec
from edgewright.contracts.transport import Completed
from edgewright.errors import ConversionFailed, DeviceError, EngineError, StorageError, UsageError

SPEC = ConversionSpec(
    "fp32", ("input_ids",), ("logits",), {"input_ids": np.ones((2, 3), np.int64)}, "text-classification",
    Settings(max_length=8), Path("unread"),
)  # fmt: skip


@pytest.fixture
def example(tmp_path_factory):
    """A function: the name of a seam -> what its example shows, the one name of its `__all__`."""

    def load(seam):
        words = importlib.import_module(f"edgewright.contracts.{seam}").__doc__
        shown = [line for line in words.splitlines() if line.startswith("    ") or not line]
        path = tmp_path_factory.mktemp("room") / f"{seam}.py"
        path.write_text(textwrap.dedent("\n".join(shown)))
        spec = importlib.util.spec_from_file_location(f"example_of_{seam}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        (public,) = module.__all__
        return getattr(module, public)

    return load


class Bag:
    """What of a `torch.nn.EmbeddingBag` a converter sees: its parameters, each with torch's way to numpy."""

    def __init__(self, table):
        self.table = table

    def parameters(self):
        return iter([self])

    def detach(self):
        return self

    def numpy(self):
        return self.table


@pytest.fixture
def table():
    return np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)


@pytest.mark.parametrize(("precision", "most"), [("fp32", 1e-6), ("fp16", 1e-2)])
def test_a_format_and_an_engine_answer_as_the_model_does(example, table, tmp_path, precision, most):
    converter, phrases = example("converter")(), []
    assert precision in converter.precisions
    assert converter.ladder(precision) == ((),)
    out = tmp_path / converter.path(precision)
    out.parent.mkdir()
    converter.convert(Bag(table), replace(SPEC, precision=precision, progress=phrases.append), out)
    assert phrases == ["store the table"]
    runtime = example("engine")()
    assert converter.format in runtime.formats
    assert runtime.installed()
    assert runtime.version() == np.__version__
    session = runtime.open(out, threads=1)
    ids = np.array([[1, 2, 49], [3, 3, 0]])
    got = session.run({"input_ids": ids, "attention_mask": np.ones_like(ids)})
    assert list(got) == [spec.name for spec in session.outputs]
    assert got["logits"].shape == (2, session.outputs[0].shape[1])
    assert got["logits"].dtype == session.outputs[0].dtype
    assert np.allclose(got["logits"], table[ids].mean(1), atol=most)


def test_what_the_examples_raise_is_narrowed(example, table, tmp_path):
    converter, runtime = example("converter")(), example("engine")()
    with pytest.raises(ConversionFailed, match=r"^bag fp32: AttributeError: "):
        converter.convert("no model", SPEC, tmp_path / "out")
    with pytest.raises(StorageError, match=r"^cannot write out\.npz: "):
        converter.convert(Bag(table), SPEC, tmp_path / "gone" / "out.npz")
    (tmp_path / "bad.npz").write_bytes(b"no archive")
    with pytest.raises(EngineError, match=r"^bag cannot open bad\.npz: "):
        runtime.open(tmp_path / "bad.npz", threads=1)
    with pytest.raises(UsageError, match="bag is not profiled"):
        runtime.profile(tmp_path / "bad.npz", {}, threads=1, runs=1)


@pytest.mark.slow
def test_the_format_takes_a_model_of_torch(example, tmp_path):
    import torch

    model, ids = torch.nn.EmbeddingBag(50, 3, mode="mean").eval(), np.array([[1, 2, 49], [3, 3, 0]])
    example("converter")().convert(model, SPEC, tmp_path / "model.npz")
    got = example("engine")().open(tmp_path / "model.npz", threads=1).run({"input_ids": ids})["logits"]
    assert np.allclose(got, model(torch.from_numpy(ids)).detach().numpy(), atol=1e-6)


def test_a_directory_is_a_device(example, tmp_path):
    device = example("transport").at(str(tmp_path))
    (tmp_path / "here").write_bytes(b"\0data")
    device.push(tmp_path / "here", "there")
    done = device.run([sys.executable, "-c", "print(open('there').read()[1:] + input())"], timeout_s=30, stdin=b"!\n")
    assert done == Completed(0, b"data!\n", b"")
    device.pull("there", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"\0data"
    device.close()


def test_what_goes_wrong_there_is_narrowed(example, tmp_path):
    folder = example("transport")
    with pytest.raises(UsageError, match=r"^folder:///no/such names no directory; give one"):
        folder.at("/no/such")
    device = folder.at(str(tmp_path))
    with pytest.raises(DeviceError, match=r"^could not run no-such-program: FileNotFoundError"):
        device.run(["no-such-program"], timeout_s=5)
    with pytest.raises(DeviceError, match="TimeoutExpired"):
        device.run([sys.executable, "-c", "import time; time.sleep(30)"], timeout_s=0.2)
    with pytest.raises(DeviceError, match=r"^could not pull gone: FileNotFoundError"):
        device.pull("gone", tmp_path / "back")


def test_an_encoder_decoder_says_its_source_again():
    """The example in the seam's docstring is of a class without a room: it is carried out as it stands."""
    words = importlib.import_module("edgewright.contracts.encoder_decoder")
    shown = textwrap.dedent("\n".join(line for line in words.__doc__.splitlines() if line[:4] in ("", "    ")))
    names = {"np": np, "EncoderDecoder": words.EncoderDecoder, "NDArray": np.typing.NDArray}
    exec(shown, names)  # noqa: S102 - it is our own
    model = names["_Echo"](9, 4)
    model.begin([[3, 5, 7], [2]], beams=2)
    assert model.step([0, 0, 0, 0]).argmax(1).tolist() == [3, 3, 2, 2]
    model.reorder(np.array([1, 0, 3, 2]))
    assert model.step([3, 3, 2, 2]).argmax(1).tolist() == [5, 5, 0, 0]
    with pytest.raises(UsageError, match="1 tokens for 4 rows after 2 steps, the context is 4"):
        model.step([1])
    with pytest.raises(UsageError, match="2 sources of up to 5 tokens and 1 beams, the context is 4"):
        model.begin([[1] * 5, [1]])
    with pytest.raises(UsageError, match="0 beams"):
        model.begin([[1]], beams=0)
