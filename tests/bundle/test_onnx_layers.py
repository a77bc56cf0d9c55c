"""Layers of nodes, kept in a file's metadata."""

from types import SimpleNamespace

import pytest

from edgewright.bundle.onnx_layers import LAYERS, layers_of, packed, unpacked
from edgewright.runtimes._profilers.onnx import layers


def node(name, given, made):
    return SimpleNamespace(name=name, input=given, output=[made], op_type="MatMul")


GRAPH = SimpleNamespace(
    initializer=[
        SimpleNamespace(name="model.encoder.layer.0.weight"),
        SimpleNamespace(name="model.encoder.layer.1.weight"),
    ],
    node=[
        node("first", ["ids", "model.encoder.layer.0.weight"], "a"),
        node("between", ["a"], "b"),
        node("second", ["b", "model.encoder.layer.1.weight"], "c"),
    ],
)


def test_a_node_belongs_where_its_weight_does_or_to_what_holds_both_sides():
    found = layers_of(GRAPH)
    assert found == {"first": "encoder.layer.0", "between": "encoder.layer", "second": "encoder.layer.1"}
    assert unpacked(packed(found)) == found


def test_a_file_says_its_layers_without_the_package_that_reads_it(tmp_path, monkeypatch):
    monkeypatch.setattr("edgewright.runtimes._profilers.onnx.find_spec", lambda _: None)
    said = {LAYERS: packed({"first": "encoder.layer.0", "lost": ""})}
    assert layers(tmp_path / "gone.onnx", said) == {"first": "encoder.layer.0"}
    assert layers(tmp_path / "gone.ort", said) == {"first": "encoder.layer.0"}
    assert layers(tmp_path / "gone.onnx", {}) == {}


@pytest.mark.parametrize("words", ["", "[", "[]", "1", '{"a": 1}', "[" * 100_000])
def test_metadata_of_others_is_no_layers(words):
    assert unpacked(words) == {}
