"""A model whose layers share weights, for products that do not saturate: onnx and ONNX Runtime say what it is."""

from contextlib import nullcontext

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgewright.bundle.onnx_bytes import Malformed
from edgewright.runtimes._unshared import unshared
from edgewright.runtimes._x86 import products_saturate

RNG = np.random.default_rng(0)
SHARED = RNG.integers(-127, 127, (8, 8), np.int8)


@pytest.fixture
def model():
    """Three products, two of them by one weight, and a table that is read twice and stays as it is."""
    names, nodes = ["shared", "other", "shared"], []
    for at, name in enumerate(names):
        nodes.append(helper.make_node("DynamicQuantizeLinear", [f"x{at}"], [f"q{at}", f"s{at}", f"z{at}"]))
        nodes.append(helper.make_node("MatMulInteger", [f"q{at}", name, f"z{at}"], [f"m{at}"], f"product {at}"))
        nodes.append(helper.make_node("Cast", [f"m{at}"], [f"c{at}"], to=TensorProto.FLOAT))
        nodes.append(helper.make_node("Mul", [f"c{at}", f"s{at}"], [f"d{at}"]))
        nodes.append(helper.make_node("Mul", [f"d{at}", "scale"], [f"x{at + 1}"]))
    weights = {"shared": SHARED, "other": RNG.integers(-127, 127, (8, 8), np.int8), "scale": np.float32(0.01)}
    kept = [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 8]) for name in ("x0", "x3")]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], kept)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="p" * 300)


def test_each_product_has_a_weight_of_its_own_and_the_answers_stay(model):
    made = onnx.load_from_string(unshared(model.SerializeToString()))
    onnx.checker.check_model(made)
    products = [node for node in made.graph.node if node.op_type == "MatMulInteger"]
    weights = {kept.name: numpy_helper.to_array(kept) for kept in made.graph.initializer}
    names = [node.input[1] for node in products]
    assert len(set(names)) == 3
    assert (weights[names[0]] == SHARED).all()
    assert (weights[names[2]] == SHARED).all()
    assert len(weights) == 4, "what no product multiplies by is shared as before"
    assert (products[2].name, made.producer_name) == ("product 2", "p" * 300)
    given = {"x0": RNG.normal(size=(2, 8)).astype(np.float32)}
    both = [_session(data).run(None, given)[0] for data in (model.SerializeToString(), made.SerializeToString())]
    assert (both[0] == both[1]).all()


def test_the_engine_takes_it_in_the_exact_form(model):
    """The day that it takes the other too, this module can go; with VNNI it has no need of that form."""
    _session(unshared(model.SerializeToString()), exact=True)
    with pytest.raises(Exception, match="replace the existing tensor") if products_saturate() else nullcontext():
        _session(model.SerializeToString(), exact=True)


def test_a_model_that_shares_nothing_stays_as_it_is(model):
    del model.graph.node[10:]
    model.graph.output[0].name = "x2"
    assert onnx.load_from_string(unshared(model.SerializeToString())) == model


@pytest.mark.parametrize("data", [b"\x3a\x05ab", b"\xff" * 12], ids=["cut", "no fields"])
def test_what_is_no_model_is_said(data):
    with pytest.raises(Malformed):
        unshared(data)


def _session(data, *, exact=False):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    if exact:
        options.add_session_config_entry("session.x64quantprecision", "1")
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
