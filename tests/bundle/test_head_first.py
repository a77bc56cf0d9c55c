"""A decoder's graph with its head first: onnx and ONNX Runtime say what it is, and Linux what it takes."""

import json
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgewright.bundle.head_first import head_first
from edgewright.bundle.onnx_bytes import Malformed

WIDTH, WORDS = 8, 40
DATA = "model.onnx.data"


def written(path, width=WIDTH, words=WORDS, layers=1, *, tied=True, external=True):
    """Tokens to logits: a table, some products, and a head, which is that table where it is `tied`."""
    rng = np.random.default_rng(0)
    weights = {
        "table": rng.random((words, width), np.float32),
        **{f"layer {at}": rng.random((width, width), np.float32) for at in range(layers)},
        "other": rng.random((words, width), np.float32),
    }
    if tied:
        del weights["other"]
    kept = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    kept.append(numpy_helper.from_array(np.array([0]), "axes"))
    head = "table" if tied else "other"
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["state 0"]),
        *(helper.make_node("MatMul", [f"state {at}", f"layer {at}"], [f"state {at + 1}"]) for at in range(layers)),
        helper.make_node("Gemm", [f"state {layers}", head], ["product"], "head", transB=1),
        helper.make_node("Unsqueeze", ["product", "axes"], ["logits"]),
    ]
    given = [helper.make_tensor_value_info("ids", TensorProto.INT64, ["n"])]
    made = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, "n", words])]
    model = helper.make_model(
        helper.make_graph(nodes, "g", given, made, kept), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    aside = {"save_as_external_data": True, "location": DATA, "size_threshold": 100} if external else {}
    onnx.save(model, path, **aside)
    return path


@pytest.mark.parametrize("tied", [True, False])
def test_the_head_is_the_first_node_has_a_weight_of_its_own_and_the_logits_stay(tmp_path, tied):
    path = written(tmp_path / "model.onnx", tied=tied)
    data = head_first(path.read_bytes())
    made, before = (onnx.load_from_string(one) for one in (data, path.read_bytes()))
    assert [node.name or node.op_type for node in made.graph.node] == ["head", "Gather", "MatMul", "Unsqueeze"]
    head = made.graph.node[0].input[1]
    assert head == ("table/head" if tied else "other")
    where = {kept.name: {one.key: one.value for one in kept.external_data} for kept in made.graph.initializer}
    own = {kept.name: {one.key: one.value for one in kept.external_data} for kept in before.graph.initializer}
    assert where == own | ({"table/head": own["table"]} if tied else {}), "the same bytes of the same file"
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(tmp_path))
    both = [
        onnxruntime.InferenceSession(one, options, providers=["CPUExecutionProvider"]).run(None, {"ids": [3, 1, 39]})[0]
        for one in (str(path), data)
    ]
    assert (both[0] == both[1]).all()


def test_weights_in_the_file_itself_and_a_graph_without_a_product_stay_as_they_are(tmp_path):
    data = written(tmp_path / "model.onnx", external=False).read_bytes()
    assert onnx.load_from_string(head_first(data)) == onnx.load_from_string(data)
    model = onnx.load_from_string(data)
    del model.graph.node[1:]
    model.graph.output[0].name = "state 0"
    assert onnx.load_from_string(head_first(model.SerializeToString())) == model


@pytest.mark.parametrize("data", [b"\x3a\x05ab", b"\xff" * 12], ids=["cut", "no fields"])
def test_what_is_no_model_is_said(data):
    with pytest.raises(Malformed):
        head_first(data)


SCRIPT = """
import json, re, sys
from pathlib import Path
from edgewright.runtimes.onnxruntime import OnnxRuntime
session = OnnxRuntime()._session(Path(sys.argv[1]), 1, writes=sys.argv[2] == "True")
peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
print(json.dumps([peak, session.run(None, {"ids": [3, 1]})[0].sum().item()]))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="Linux says what a process took")
def test_a_decoder_is_opened_without_its_table_mapped_and_packed_at_once(tmp_path):
    """32 MiB of a tied table, and 36 of layers: whoever packs the head last has its table twice beside them."""
    path, found = written(tmp_path / "model.onnx", width=1024, words=8192, layers=9), []
    for writes in (False, True):
        argv = [sys.executable, "-c", SCRIPT, str(path), str(writes)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=True)
        found.append(json.loads(done.stdout))
    (whole, logits), (less, same) = found
    assert logits == same
    assert whole - less > 24, f"{whole:.0f} and {less:.0f} MiB"
