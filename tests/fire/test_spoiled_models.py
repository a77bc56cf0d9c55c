"""Models that were spoiled, opened and run by an engine in a child: whatever becomes of the child, one error of ours."""

import random
from collections import Counter

import mutate
import numpy as np
import pytest

from edgewright.errors import EdgewrightError
from edgewright.inference.run_batches import RUN, RunRequest
from edgewright.system import arrays
from edgewright.system.child import Limits, call

pytestmark = pytest.mark.slow

EACH = 120
"""A choice: under half a minute, as each is a process."""
LIMITS = Limits(memory_mib=1024, timeout_s=10.0)


@pytest.fixture
def model():
    """A classifier that looks words up, takes their mean and multiplies."""
    onnx = pytest.importorskip("onnx")
    helper, numbers = onnx.helper, np.random.default_rng(3)
    weights = [
        onnx.numpy_helper.from_array(numbers.normal(size=(50, 8)).astype(np.float32), "table"),
        onnx.numpy_helper.from_array(numbers.normal(size=(8, 2)).astype(np.float32), "head"),
    ]
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["words"]),
        helper.make_node("ReduceMean", ["words"], ["mean"], axes=[1], keepdims=0),
        helper.make_node("MatMul", ["mean", "head"], ["logits"]),
    ]
    ids = helper.make_tensor_value_info("input_ids", onnx.TensorProto.INT64, ["batch", "length"])
    logits = helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["batch", 2])
    graph = helper.make_graph(nodes, "bag", [ids], [logits], weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return made.SerializeToString()


def test_a_spoiled_model_ends_no_more_than_its_child(model, tmp_path):
    arrays.save(tmp_path / "feeds.npz", [{"input_ids": np.ones((1, 5), dtype=np.int64)}])
    found = Counter()
    for seed in range(EACH):
        luck, path = random.Random(f"onnx {seed}"), tmp_path / "model.onnx"
        path.write_bytes(model if seed == 0 else mutate.blob(model, luck))
        request = RunRequest(
            name="spoiled",
            engine="onnxruntime",
            artifact=path,
            feeds=tmp_path / "feeds.npz",
            out=tmp_path / "out.npz",
            outputs=("logits",),
        )
        try:
            call(RUN, request, preload=("onnxruntime",), limits=LIMITS)
            code = "taken"
        except EdgewrightError as error:
            assert 2 <= error.exit_code <= 6, error
            assert "\n" not in str(error)
            code = error.code
        found[code] += 1
    assert found.total() == EACH
    assert found["taken"] > 0
    assert found["engine-error"] > EACH // 3
