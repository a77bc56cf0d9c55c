"""An artifact with an operator that the engine at hand does not have, as of a newer engine: it is named, everywhere."""

import hashlib
import json
import re

import pytest
from conftest import edgewright
from test_crashers import alone

from edgewright.errors import EdgewrightError
from edgewright.inference.pipeline import load

pytestmark = pytest.mark.slow

LATER = 99
"""The version of an operator that no engine has yet."""


def of_onnx(data):
    """With a MatMul of tomorrow."""
    import onnx

    model = onnx.load_from_string(data)
    node = next(node for node in model.graph.node if node.op_type == "MatMul")
    node.op_type = "MatMulOfTomorrow"
    return model.SerializeToString(), "MatMulOfTomorrow"


def of_tflite(data):
    """With a FULLY_CONNECTED of tomorrow."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    code = next(code for code in model.operatorCodes if code.builtinCode == schema.BuiltinOperator.FULLY_CONNECTED)
    code.version = LATER
    builder = flatbuffers.Builder(len(data))
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output()), "FULLY_CONNECTED"


@pytest.mark.parametrize(("name", "format_", "change"), [("demo", "onnx", of_onnx), ("tflite", "tflite", of_tflite)])
def test_an_operator_that_an_engine_lacks_is_named(name, format_, change, request, tmp_path):
    made = request.getfixturevalue(f"{name}_bundle")
    bundle, path = alone(made, tmp_path / "bundle", format_)
    data, operator = change((bundle / path).read_bytes())
    (bundle / path).write_bytes(data)
    tree = json.loads((bundle / "manifest.json").read_text())
    tree["artifacts"][0] |= {"sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}
    (bundle / "manifest.json").write_text(json.dumps(tree))
    with pytest.raises(EdgewrightError, match=operator):
        load(bundle)
    for command in (("run", bundle, "a sea"), ("verify", bundle), ("bench", bundle, "--processes", "1", "--runs", "2")):
        assert operator in edgewright(*command, check=3)
    root = tmp_path / "board"
    line = edgewright("flash", bundle, "local", "--root", root, check=5)
    assert re.search(rf"lacks operators of an artifact: {operator}\b", line), line
    assert not root.exists(), "nothing was sent"
