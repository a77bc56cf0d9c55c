"""What files say of themselves without their bundle, read by each format's own library. For ONNX see test_onnx.py."""

import json
import zipfile

import pytest

from edgewright.bundle.bundle import Bundle


def of_tflite(path):
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    (entry,) = (entry for entry in model.metadata if entry.name == b"edgewright")
    return json.loads(bytes(model.buffers[entry.buffer].data))


def of_torchscript(path):
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read(next(name for name in archive.namelist() if name.endswith("edgewright.json"))))[
            "about"
        ]


def of_executorch(path):
    runtime = pytest.importorskip("executorch.runtime").Runtime.get()
    return json.loads(runtime.load_program(path).load_method("get_about").execute([])[0])


@pytest.mark.parametrize(
    ("made", "read"),
    [("tflite", of_tflite), ("torchscript", of_torchscript), ("executorch", of_executorch)],
)
def test_every_file_says_what_it_is(made, read, request):
    bundle = Bundle.open(request.getfixturevalue(f"{made}_bundle"))
    source, settings = bundle.manifest.source, bundle.manifest.settings
    tokenizer = next(file.sha256 for file in bundle.manifest.files if file.path == "tokenizer.json")
    about = {"task": "text-classification", "labels": '["negative", "positive"]', "licence": "apache-2.0"}
    about |= {"source": source.architecture, "source_sha256": source.sha256, "tokenizer_sha256": tokenizer}
    about["max_length"] = str(settings.max_length)
    for artifact in bundle.manifest.artifacts:
        assert read(bundle.directory / artifact.path) == {**about, "precision": artifact.precision}
