"""What `edgewright export` refuses, and what it leaves alone; the exported file itself is in tests/e2e."""

import json

import pytest

from edgewright.bundle import manifest
from edgewright.errors import BundleError, StorageError, UnsupportedConversion
from edgewright.exporting.mediapipe import export_mediapipe


@pytest.fixture
def tflite_bundle(bundle_dir, make_artifact):
    """Change the manifest of a bundle of one tflite artifact that holds no model; give its directory."""

    def change(**fields):
        record = manifest.decode((bundle_dir / "manifest.json").read_bytes(), manifest.Manifest, "manifest.json")
        data = (bundle_dir / "onnx/model.onnx").read_bytes()
        artifact = make_artifact(data, format="tflite")
        given = {name: getattr(record, name) for name in record.__struct_fields__}
        changed = manifest.Manifest(**{**given, "artifacts": (artifact,), **fields})
        (bundle_dir / "manifest.json").write_bytes(manifest.encode(changed))
        return bundle_dir

    return change


def test_an_artifact_that_is_not_there_is_named_with_those_that_are(bundle_dir, tmp_path):
    with pytest.raises(BundleError, match=r"has no artifact tflite/int8; it has onnx/fp32"):
        export_mediapipe(bundle_dir, out=tmp_path / "m.tflite", precision="int8")


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("feature-extraction", "one vector for each text, .* pooling is not in the file"),
        ("question-answering", "MediaPipe has no task for question-answering"),
    ],
)
def test_a_task_without_counterpart_is_refused(tflite_bundle, tmp_path, task, words):
    with pytest.raises(UnsupportedConversion, match=words):
        export_mediapipe(tflite_bundle(task=task), out=tmp_path / "m.tflite")


def test_a_regression_is_refused(tflite_bundle, tmp_path):
    settings = manifest.Settings(max_length=64, problem="regression")
    with pytest.raises(UnsupportedConversion, match="text-classification without labels"):
        export_mediapipe(tflite_bundle(settings=settings), out=tmp_path / "m.tflite")


def test_a_file_that_is_there_stays(tflite_bundle, tmp_path):
    (tmp_path / "m.tflite").write_text("mine")
    with pytest.raises(StorageError, match=r"m\.tflite exists; use --force"):
        export_mediapipe(tflite_bundle(), out=tmp_path / "m.tflite")
    with pytest.raises(StorageError, match="is a directory; choose another place"):
        export_mediapipe(tflite_bundle(), out=tmp_path, force=True)
    assert (tmp_path / "m.tflite").read_text() == "mine"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": {"type": "BPE", "vocab": {}}}, "lower-case WordPiece one, the model's is BPE;"),
        ({"normalizer": {"lowercase": False}}, "the model's is WordPiece that keeps upper case;"),
    ],
)
def test_a_tokenizer_of_another_kind_is_refused(tokenizer_dir, change, words):
    pytest.importorskip("ai_edge_litert")
    pytest.importorskip("flatbuffers")
    from edgewright.converters._tflite.mediapipe import for_mediapipe

    path = tokenizer_dir / "tokenizer.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(UnsupportedConversion, match=words):
        for_mediapipe(b"", manifest.Settings(max_length=64, labels=("a", "b")), tokenizer_dir)


def test_a_model_without_token_types_is_refused(tokenizer_dir):
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    pytest.importorskip("flatbuffers")
    from edgewright.converters._tflite import file
    from edgewright.converters._tflite.mediapipe import for_mediapipe

    model, graph = schema.ModelT(), schema.SubGraphT()
    model.subgraphs, model.buffers, model.signatureDefs = [graph], [], []
    graph.tensors, graph.inputs, graph.outputs = [schema.TensorT(), schema.TensorT()], [0, 1], []
    graph.tensors[0].name, graph.tensors[1].name = b"length_64_input_ids", b"length_64_attention_mask"
    settings, data = manifest.Settings(max_length=64, labels=("a", "b")), file.write(model)
    with pytest.raises(UnsupportedConversion, match="token_type_ids; this one has input_ids, attention_mask; BERT"):
        for_mediapipe(data, settings, tokenizer_dir)
