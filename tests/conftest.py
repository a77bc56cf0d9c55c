"""What tests share: a small tokenizer, a tiny model directory, a hand-made bundle, the data sets beside the project."""

import fcntl
import gc
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from debian import need, unpacked
from onnx_wire import empty_model
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from edgewright import registry
from edgewright.bundle import manifest

HERE = Path(__file__).parent
gc.set_threshold(
    50_000
)  # thousands of tests and torch's modules live to the end: looking for them is a tenth of the time
if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers share the cores: a thread of torch's pool shall not wait awake for one that has none
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.pop("COLUMNS", None)  # pytest's own plugins set it, and tables would fold to it
hypothesis.settings.register_profile("busy", deadline=None)  # these machines are shared
hypothesis.settings.load_profile("busy")
SLOW_ROOMS = {"converters", "e2e"}
SLOW_KINDS = {
    "slow and not alone and not heavy": "",
    "slow and alone and not heavy": r"mark\.alone",
    "heavy": r"mark\.heavy|\nfrom lighter ",
}
"""What `tools/test` and `tools/proofs` ask for, and what is in a file that has such a test."""
LONG_ROOMS = {*SLOW_ROOMS, "tools", "training"}
"""They come first: of files that take a minute the last one would run while the other workers have nothing left."""
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
HIDDEN, LAYERS, HEADS, INTERMEDIATE, POSITIONS, LABELS = 32, 2, 2, 64, 64, 2


def pytest_ignore_collect(collection_path, config):
    """Leave out a file that holds no test of the wanted kind: to import it costs each worker a part of its time."""
    asked, where = config.option.markexpr, collection_path.relative_to(HERE)
    if asked not in ("not slow", *SLOW_KINDS) or not collection_path.is_file():
        return None
    text, room = collection_path.read_text(), bool(SLOW_ROOMS & set(where.parts))
    if asked == "not slow":
        return True if room or "\npytestmark = pytest.mark.slow\n" in text else None
    slow = room or "mark.slow" in text
    return None if slow and re.search(SLOW_KINDS[asked], text) else True


def pytest_collection_modifyitems(items):
    for item in items:
        if SLOW_ROOMS & {parent.name for parent in item.path.relative_to(HERE).parents}:
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: item.path.relative_to(HERE).parts[0] not in LONG_ROOMS)


@pytest.fixture(autouse=True)
def _from_an_index(monkeypatch):
    """Pip lines are those of an edgewright that came from an index; tests/test_registry.py has those of a checkout."""
    monkeypatch.setattr(registry, "_checkout", list)


@pytest.fixture
def run(capsys):
    """Run a command in this process: exit code, standard output, standard error."""
    from edgewright.cli import _run

    def call(*argv):
        code = _run([str(word) for word in argv])
        return code, *capsys.readouterr()

    return call


@pytest.fixture(scope="session")
def _tokenizer(tmp_path_factory):
    # What a trainer made of story.txt once: it breaks ties by chance, so that each process would have another one
    pieces = (HERE / "vocabulary.txt").read_text().splitlines()
    backend = Tokenizer(models.WordPiece({piece: at for at, piece in enumerate(pieces)}, unk_token="[UNK]"))
    backend.add_special_tokens(SPECIAL)
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    directory = tmp_path_factory.mktemp("tokenizer")
    backend.save(str(directory / "tokenizer.json"))
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL, strict=True))
    config = {"tokenizer_class": "BertTokenizer", "model_max_length": POSITIONS, "do_lower_case": True, **names}
    (directory / "tokenizer_config.json").write_text(json.dumps(config))
    return directory


@pytest.fixture(scope="session")
def _source(tmp_path_factory, _tokenizer):
    directory = tmp_path_factory.mktemp("source") / "model"
    shutil.copytree(_tokenizer, directory)
    rows = Tokenizer.from_file(str(directory / "tokenizer.json")).get_vocab_size()
    config = {
        "architectures": ["BertForSequenceClassification"],
        "model_type": "bert",
        "vocab_size": rows,
        "hidden_size": HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "intermediate_size": INTERMEDIATE,
        "max_position_embeddings": POSITIONS,
        "type_vocab_size": 2,
        "hidden_act": "gelu",
        "pad_token_id": 0,
        "id2label": {"0": "negative", "1": "positive"},
        "label2id": {"negative": 0, "positive": 1},
    }
    (directory / "config.json").write_text(json.dumps(config, indent=1))
    save_file(_bert_weights(rows), directory / "model.safetensors", metadata={"format": "pt"})
    (directory / "README.md").write_text("---\nlicense: apache-2.0\nlanguage: en\n---\n\nA random model.\n")
    return directory


def _bert_weights(rows):
    """Random weights of a BERT classifier, by the names that transformers gives them."""
    rng = np.random.default_rng(7)
    shapes = {
        "bert.embeddings.word_embeddings.weight": (rows, HIDDEN),
        "bert.embeddings.position_embeddings.weight": (POSITIONS, HIDDEN),
        "bert.embeddings.token_type_embeddings.weight": (2, HIDDEN),
        **_linear("bert.pooler.dense", HIDDEN, HIDDEN),
        **_linear("classifier", LABELS, HIDDEN),
    }
    norms = ["bert.embeddings.LayerNorm"]
    for layer in (f"bert.encoder.layer.{i}" for i in range(LAYERS)):
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            shapes |= _linear(f"{layer}.attention.{part}", HIDDEN, HIDDEN)
        shapes |= _linear(f"{layer}.intermediate.dense", INTERMEDIATE, HIDDEN)
        shapes |= _linear(f"{layer}.output.dense", HIDDEN, INTERMEDIATE)
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
    weights = {name: rng.normal(0, 0.2, shape).astype(np.float32) for name, shape in shapes.items()}
    for norm in norms:
        weights |= {f"{norm}.weight": np.ones(HIDDEN, np.float32), f"{norm}.bias": np.zeros(HIDDEN, np.float32)}
    return weights


def _linear(name, out, into):
    return {f"{name}.weight": (out, into), f"{name}.bias": (out,)}


@pytest.fixture
def tokenizer_dir(_tokenizer, tmp_path):
    """A directory of its own with tokenizer.json and tokenizer_config.json."""
    return Path(shutil.copytree(_tokenizer, tmp_path / "tokenizer"))


@pytest.fixture
def source_dir(_source, tmp_path):
    """A directory of its own with a complete tiny BertForSequenceClassification as Hugging Face saves it."""
    return Path(shutil.copytree(_source, tmp_path / "model"))


@pytest.fixture
def make_artifact():
    """Make an Artifact record for some bytes; any field can be given."""

    def make(data=b"a model, not really", path="onnx/model.onnx", **fields):
        ids = manifest.TensorSpec(name="input_ids", dtype="int64", shape=("batch", "length"))
        logits = manifest.TensorSpec(name="logits", dtype="float32", shape=("batch", 2))
        parity = manifest.Parity(
            texts=20, max_abs=1e-6, mean_abs=1e-7, sqnr_db=120.0, cosine=1.0, top1=1.0, worst_case="short"
        )
        given = {
            "path": path,
            "format": "onnx",
            "precision": "fp32",
            "size_bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "inputs": (ids,),
            "outputs": (logits,),
            "parity": parity,
            "score": manifest.Score(metric="accuracy", value=90.5, n=200, data="dev.tsv", reference=90.5),
        }
        return manifest.Artifact(**{**given, **fields})

    return make


@pytest.fixture
def make_manifest(make_artifact):
    """Make a Manifest record; any field can be given."""

    def make(**fields):
        given = {
            "task": "text-classification",
            "settings": manifest.Settings(max_length=POSITIONS, labels=("negative", "positive")),
            "artifacts": (make_artifact(),),
            "files": (),
            "source": manifest.Source(architecture="BertForSequenceClassification", parameters=1, sha256="0" * 64),
            "toolchain": {"edgewright": "0.1.0"},
        }
        return manifest.Manifest(**{**given, **fields})

    return make


@pytest.fixture
def bundle_dir(tmp_path, _source, make_artifact, make_manifest):
    """A valid bundle whose one artifact holds no model."""
    root, data = tmp_path / "bundle", empty_model(b"a model, not really" * 50)
    (root / "onnx").mkdir(parents=True)
    (root / "onnx/model.onnx").write_bytes(data)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(_source / name, root / name)
    case = manifest.GoldenCase(
        text="not bad",
        input_ids=(2, 5, 3),
        outputs={"onnx/model.onnx": (-1.5, 2.5)},
        answer=[{"label": "positive", "score": 0.98}],
    )
    (root / "golden.json").write_bytes(manifest.encode(manifest.Golden(cases=(case,))))
    files = tuple(_listed(root, path) for path in sorted(root.glob("*.json")))
    record = make_manifest(artifacts=(make_artifact(data),), files=files)
    (root / "manifest.json").write_bytes(manifest.encode(record))
    return root


def _listed(root, path):
    data = path.read_bytes()
    return manifest.File(
        path=path.relative_to(root).as_posix(), size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest()
    )


@pytest.fixture
def live(bundle_dir):
    """A bundle whose model runs: a text is as positive as it is long."""
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("Cast", ["attention_mask"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["real", "axes"], ["length"], keepdims=1),
        helper.make_node("Sub", ["limit", "length"], ["short"]),
        helper.make_node("Sub", ["length", "limit"], ["long"]),
        helper.make_node("Concat", ["short", "long"], ["logits"], axis=1),
    ]
    given = helper.make_tensor_value_info("attention_mask", TensorProto.INT64, ["batch", "length"])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 2])
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [1])
    limit = helper.make_tensor("limit", TensorProto.FLOAT, [], [5.0])
    graph = helper.make_graph(nodes, "g", [given], [logits], [axes, limit])
    data = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    return _with_model(bundle_dir, data)


def _with_model(directory, data):
    from msgspec.structs import replace

    record = manifest.decode((directory / "manifest.json").read_bytes(), manifest.Manifest, "manifest.json")
    (directory / "onnx/model.onnx").write_bytes(data)
    artifact = replace(record.artifacts[0], size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    (directory / "manifest.json").write_bytes(manifest.encode(replace(record, artifacts=(artifact,))))
    return directory


@pytest.fixture(scope="session")
def talking(tmp_path_factory):
    """A bundle of a random Llama of llama2.c's kind with a chat template, built once for all workers."""
    from llama2c import talker

    import edgewright

    root = _shared(tmp_path_factory) / "talking"
    with root.with_suffix(".lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (root / "tiny").exists():
            root.mkdir(exist_ok=True)
            asked = {"task": "text-generation", "precisions": ["fp32"], "allow_divergence": True}
            edgewright.build(talker(root), out=root / "tiny", **asked)
    return root / "tiny"


@pytest.fixture(scope="session")
def writing_program(tmp_path_factory):
    """What of the C core writes and translates, built with gcc's sanitizers, once for all workers."""
    sys.path.insert(0, str(HERE / "exporting"))
    import c_writers
    import token_texts

    out = _shared(tmp_path_factory) / "writing_program"
    with out.with_suffix(".lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return out if out.exists() else c_writers.compiled(out, *token_texts.SANITIZED)


def _shared(tmp_path_factory):
    """The directory of this run that all its workers see."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A bundle of a task and the C project made of it, each built once for all workers."""
    root = _shared(tmp_path_factory) / "exporting"
    root.mkdir(exist_ok=True)

    def make(family, task, labels=()):
        place = root / task
        with place.with_suffix(".lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (place / "c").exists():
                _make(place, family, task, labels)
        return place

    return make


def _make(place, family, task, labels):
    sys.path.insert(0, str(HERE.parent / "tools"))
    import tiny_models

    import edgewright
    from edgewright.exporting.c import export_c

    source = tiny_models.make(family, task, place / "source", labels=labels, length=64, std=0.3)
    edgewright.build(source, task=task, formats=["onnx"], precisions=["fp32"], out=place / "bundle")
    export_c(place / "bundle", out=place / "c")


@pytest.fixture(scope="session")
def shared():
    """The directory of the data sets, which are not part of the project. Mark such tests `shared_data`."""
    found = HERE.parents[1] / "shared" / "data"
    if not found.is_dir():
        pytest.skip(f"the data sets are not at {found}")
    return found


@pytest.fixture(scope="session")
def adbd():
    """The command line of Debian 13's adbd, which runs on any Debian by its own loader."""
    need("adb", "adb")
    if subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False).returncode:
        pytest.skip("adbd lets everyone in, so it runs in a network of its own alone, and unshare cannot make one here")
    root = unpacked("trixie", "adbd")
    (loader,) = [path for path in root.glob("usr/lib*/ld-linux-*") if path.is_file()]
    libraries = [str(path) for path in (*root.glob("usr/lib/*-linux-gnu"), *root.glob("usr/lib/*-linux-gnu/android"))]
    program = root / "usr/lib/android-sdk/platform-tools/adbd"
    return [str(loader), "--library-path", ":".join(libraries), str(program)]


@pytest.fixture(scope="session")
def adb_world(adbd, tmp_path_factory):
    """A running adbd and adb server, see `adb_world.py`; `ADB_SERVER_SOCKET` leads adb there."""
    folder = tmp_path_factory.mktemp("adb")
    argv = ["unshare", "--net", sys.executable, str(HERE / "adb_world.py"), str(folder), *adbd]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log, start_new_session=True)
    patch, began = pytest.MonkeyPatch(), folder / "adbd.log"
    patch.setenv("ADB_SERVER_SOCKET", f"localfilesystem:{folder}/socket")
    while not ((folder / "socket").exists() and began.exists() and "adbd started" in began.read_text()):
        assert process.poll() is None, (folder / "log").read_text()
        time.sleep(0.05)
    yield folder
    patch.undo()
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    argv = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    done = subprocess.run(argv, capture_output=True, check=False, text=True)
    if done.returncode:
        pytest.skip(f"cannot mount a small file system: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)
