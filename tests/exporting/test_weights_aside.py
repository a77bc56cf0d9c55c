"""Weights beside a graph: onnx reads the same tensors, and the file is no larger than they are."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgewright.bundle.external_data import check_content, weights_of
from edgewright.bundle.onnx_bytes import Malformed
from edgewright.exporting.weights_aside import weights_aside


@pytest.fixture
def model():
    rng = np.random.default_rng(0)
    weights = {
        "large": rng.integers(-127, 127, (100, 200), np.int8),
        "small": rng.normal(size=200).astype(np.float32),
        "half": rng.normal(size=(200, 50)).astype(np.float16),
        "typed": None,
    }
    kept = [numpy_helper.from_array(value, name) for name, value in weights.items() if value is not None]
    kept.append(helper.make_tensor("typed", TensorProto.FLOAT, [5000], np.ones(5000, np.float32)))
    nodes = [helper.make_node("Identity", [name], [f"{name}/out"]) for name in weights]
    ends = [helper.make_tensor_value_info(f"{one.name}/out", one.data_type, one.dims) for one in kept]
    graph = helper.make_graph(nodes, "g", [], ends, kept)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="p" * 300)


def test_large_weights_lie_beside_and_every_tensor_is_what_it_was(model, tmp_path):
    path = tmp_path / "model.onnx"
    data, weights = weights_aside(model.SerializeToString(), weights_of(path.name))
    path.write_bytes(data)
    (tmp_path / weights_of(path.name)).write_bytes(weights)
    onnx.checker.check_model(path, full_check=True)
    bare = onnx.load(path, load_external_data=False)
    moved = {one.name: {e.key: e.value for e in one.external_data} for one in bare.graph.initializer}
    assert moved["large"] == {"location": "model.onnx.data", "offset": "0", "length": "20000"}
    assert moved["half"] == {"location": "model.onnx.data", "offset": "20480", "length": "20000"}
    assert (moved["small"], moved["typed"]) == ({}, {}), "too small, and not by its bytes"
    assert len(weights) == 40480
    check_content("onnx", path.name, len(data), lambda at, n: data[at : at + n], len(weights))
    read = {one.name: numpy_helper.to_array(one) for one in onnx.load(path).graph.initializer}
    for one in model.graph.initializer:
        assert read[one.name].dtype == numpy_helper.to_array(one).dtype
        assert (read[one.name] == numpy_helper.to_array(one)).all()
    del bare.graph.initializer[:], model.graph.initializer[:]
    assert bare == model, "and all else"


def test_a_model_of_small_weights_has_nothing_beside_it(model):
    del model.graph.initializer[2], model.graph.initializer[0]
    data, weights = weights_aside(model.SerializeToString(), "model.onnx.data")
    assert (onnx.load_from_string(data), weights) == (model, b"")


def test_what_is_no_model_is_said():
    with pytest.raises(Malformed):
        weights_aside(b"\x3a\x05ab", "model.onnx.data")
