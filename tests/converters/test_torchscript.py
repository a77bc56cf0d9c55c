"""Every architecture as a `.ptl` file: the eager model as oracle, other batches and lengths than were traced."""

import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgewright.errors import EngineError, UnsupportedConversion
from edgewright.registry import load

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
from tiny import ARCHITECTURES, batch, eager, spec  # noqa: E402

LIMITS = {"fp32": 1e-5, "int8": 0.15}


@pytest.fixture(scope="module", params=ARCHITECTURES)
def artifacts(request, tmp_path_factory):
    """The eager model and the files of its artifacts by precision."""
    model, converter = eager(request.param), load("converters", "torchscript")()
    out = tmp_path_factory.mktemp(request.param)
    for precision in converter.precisions:
        converter.convert(model, spec(precision, model), out / f"{precision}.ptl")
    return model, {precision: out / f"{precision}.ptl" for precision in converter.precisions}


@pytest.mark.parametrize("precision", LIMITS)
@pytest.mark.parametrize("lengths", [[1], [64], [12, 3, 1], [5, 5], [2] * 7], ids=str)
def test_parity(artifacts, precision, lengths):
    from edgewright.converters._model.eager import run

    model, paths = artifacts
    session = load("runtimes", "lite-interpreter")().open(paths[precision], threads=1)
    feeds = batch(lengths, seed=len(lengths))
    want, got = run(model, feeds)["logits"], session.run(feeds)["logits"]
    assert got.shape == want.shape
    assert np.abs(got - want).max() <= LIMITS[precision] * max(1.0, float(np.abs(want).max()))


def test_the_file_names_its_inputs_and_outputs(artifacts):
    model, paths = artifacts
    for path in paths.values():
        session = load("runtimes", "lite-interpreter")().open(path, threads=1)
        assert [(s.name, s.dtype, s.shape) for s in session.inputs] == [
            (name, "int64", ("batch", "length")) for name in model.inputs
        ]
        assert [(s.name, s.dtype, s.shape) for s in session.outputs] == [("logits", "float32", ("batch", 2))]


def test_the_file_names_no_place_of_the_machine_it_was_made_on(artifacts):
    _, paths = artifacts
    for path in paths.values():
        data = b"".join(zipfile.ZipFile(path).read(name) for name in zipfile.ZipFile(path).namelist())
        assert str(Path(torch.__file__).parents[1]).encode() not in data


def test_int8_is_smaller(artifacts):
    """Even here, where the scales of the narrow layers are a good part of the file."""
    _, paths = artifacts
    stored = {}
    for precision, path in paths.items():
        entries = zipfile.ZipFile(path).infolist()
        stored[precision] = sum(
            e.file_size for e in entries if e.filename.endswith(".storage") or "constants/" in e.filename
        )
    assert stored["int8"] < 0.75 * stored["fp32"]


@pytest.mark.parametrize("engine", sorted(set(torch.backends.quantized.supported_engines) - {"none"}))
def test_one_int8_file_serves_every_quantized_engine(engine, tmp_path):
    """A child each: the engine is the process's."""
    from edgewright.converters._model.eager import run

    model = eager("Bert")
    load("converters", "torchscript")().convert(model, spec("int8", model), tmp_path / "m.ptl")
    np.savez(tmp_path / "feeds.npz", **batch([12, 3, 1]))
    code = (
        "import sys, numpy, torch; from pathlib import Path; from edgewright.registry import load\n"
        f"torch.backends.quantized.engine = {engine!r}\n"
        f"session = load('runtimes', 'lite-interpreter')().open(Path({str(tmp_path / 'm.ptl')!r}), threads=1)\n"
        f"feeds = dict(numpy.load({str(tmp_path / 'feeds.npz')!r}))\n"
        f"numpy.save({str(tmp_path / 'out.npy')!r}, session.run(feeds)['logits'])\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    want = run(model, batch([12, 3, 1]))["logits"]
    assert np.abs(np.load(tmp_path / "out.npy") - want).max() <= LIMITS["int8"] * max(1.0, float(np.abs(want).max()))


@pytest.mark.heavy
def test_same_bytes_whatever_the_process_made_before(tmp_path):
    made = []
    for order in (["int8"], ["fp32", "int8"]):
        code = (
            f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
            "from pathlib import Path; from tiny import eager, spec; from edgewright.registry import load\n"
            "model, converter = eager('Bert'), load('converters', 'torchscript')()\n"
            f"for p in {order!r}: converter.convert(model, spec(p, model), Path({str(tmp_path)!r}, p + '.ptl'))\n"
        )
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
        made.append((tmp_path / "int8.ptl").read_bytes())
    assert made[0] == made[1]


class Twice(torch.nn.Module):
    """A user's own model: a shared layer without a bias, an embedding, a shape that Python computes with."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.table, self.layer = torch.nn.Embedding(300, 48), torch.nn.Linear(48, 48, bias=False)
        self.head = torch.nn.Linear(48, 2)

    def forward(self, input_ids, attention_mask):
        batch, length = input_ids.shape
        hidden = self.layer(self.layer(self.table(input_ids)).tanh()).view(batch * length, 48).view(batch, length, 48)
        mask = attention_mask.view(batch, length, 1).float()
        return self.head((hidden * mask).sum(1) / mask.sum(1))


@pytest.mark.parametrize("precision", LIMITS)
def test_an_exported_module(precision, tmp_path):
    from edgewright.converters._model.eager import Eager, run

    feeds = {name: torch.from_numpy(array) for name, array in batch([9, 4]).items() if name != "token_type_ids"}
    free = {name: dict.fromkeys((0, 1), torch.export.Dim.AUTO) for name in feeds}
    program = torch.export.export(Twice().eval(), (), feeds, dynamic_shapes=free).module()
    model = Eager(program, tuple(feeds), ("logits",))
    load("converters", "torchscript")().convert(model, spec(precision, model), tmp_path / "m.ptl")
    session = load("runtimes", "lite-interpreter")().open(tmp_path / "m.ptl", threads=1)
    for lengths in ([1], [30, 2, 7]):
        want = run(model, batch(lengths))["logits"]
        got = session.run(batch(lengths))["logits"]
        assert np.abs(got - want).max() <= LIMITS[precision] * max(1.0, float(np.abs(want).max()))
    if precision == "int8":
        assert (tmp_path / "m.ptl").stat().st_size < 300 * 48 * 4


def test_a_model_whose_shapes_the_trace_would_keep_is_refused(tmp_path):
    from edgewright.converters._model.eager import Eager

    class Counts(torch.nn.Module):
        def forward(self, input_ids, attention_mask):
            return (input_ids + torch.zeros([int(n) for n in attention_mask.shape])).sum(1, keepdim=True).repeat(1, 2)

    model = Eager(Counts(), ("input_ids", "attention_mask"), ("logits",))
    with pytest.raises(UnsupportedConversion, match="keeps the traced shape 2 x 9"):
        load("converters", "torchscript")().convert(model, spec("fp32", model), tmp_path / "m.ptl")


def test_a_batch_as_long_as_the_model_reads_is_traced(tmp_path):
    model = eager("Bert")
    example = {name: array for name, array in batch([70, 4]).items() if name in model.inputs}
    load("converters", "torchscript")().convert(
        model, replace(spec("fp32", model), example=example), tmp_path / "m.ptl"
    )
    session = load("runtimes", "lite-interpreter")().open(tmp_path / "m.ptl", threads=1)
    assert [one.shape for one in session.inputs] == [("batch", "length")] * len(model.inputs)


# files that are not as they should be


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    model, path = eager("Bert"), tmp_path_factory.mktemp("good") / "m.ptl"
    load("converters", "torchscript")().convert(model, spec("int8", model), path)
    return path


def rewrite(path, out, change):
    """Copy an archive; `change(name, data)` gives the new bytes of an entry, or None to leave it out."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            data = change(name.partition("/")[2], old.read(name))
            if data is not None:
                new.writestr(name, data)
    return out


def without(part):
    return lambda name, data: None if name == part else data


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda _, out: out.write_bytes(b""), "no .ptl file"),
        (lambda path, out: out.write_bytes(path.read_bytes()[:20000]), "no .ptl file"),
        (lambda _, out: out.write_bytes(b"x" * 5000), "no .ptl file"),
        (lambda path, out: rewrite(path, out, without("extra/edgewright.json")), "does not name its inputs"),
        (lambda path, out: rewrite(path, out, without("bytecode.pkl")), "without the lite interpreter's bytecode"),
        (lambda path, out: rewrite(path, out, without("constants/2.storage")), "does not load"),
        (lambda path, out: rewrite(path, out, lambda n, d: d[:99] if n == "bytecode.pkl" else d), "does not load"),
        (
            lambda path, out: rewrite(
                path, out, lambda n, d: d.replace(b"K\x08", b"K\x63", 1) if n == "bytecode.pkl" else d
            ),
            "does not load",
        ),
        (lambda path, out: rewrite(path, out, lambda n, d: b"{]" if n.endswith(".json") else d), "no .ptl file"),
        (
            lambda _, out: torch.jit.script(torch.nn.Linear(2, 2)).save(str(out)),
            "without the lite interpreter's bytecode",
        ),
    ],
)
def test_a_bad_file_is_one_clear_error(good, tmp_path, damage, words):
    damage(good, tmp_path / "bad.ptl")
    with pytest.raises(EngineError, match=r"bad\.ptl") as caught:
        load("runtimes", "lite-interpreter")().open(tmp_path / "bad.ptl", threads=1)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 500
