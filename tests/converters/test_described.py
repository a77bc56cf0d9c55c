"""What files say of themselves without their bundle, read by each format's own library. For ONNX see test_onnx.py."""

import json
import zipfile
from dataclasses import replace

import pytest

from edgewright.registry import load

pytest.importorskip("transformers")
from tiny import eager, spec

ABOUT = {"task": "text-classification", "labels": '["no", "yes"]', "licence": "mit", "source_sha256": "0" * 64}


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
    ("name", "library", "read"),
    [
        ("tflite", "litert_torch", of_tflite),
        ("torchscript", "torch", of_torchscript),
        ("executorch", "executorch", of_executorch),
    ],
)
def test_a_file_says_what_it_is(name, library, read, tmp_path):
    pytest.importorskip(library)
    model, converter = eager("Bert"), load("converters", name)()
    path = tmp_path / converter.path("fp32").rpartition("/")[2]
    converter.convert(model, replace(spec("fp32", model), about=ABOUT), path)
    assert read(path) == {**ABOUT, "precision": "fp32"}
