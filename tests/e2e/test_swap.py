"""A pipeline that serves while a faster session is made beside it, and takes that only if it answers the golden cases.

The int8 artifact in ONNX Runtime stands in for the engine that TensorRT takes minutes to build: no GPU is needed to see
the proof and the swap.
"""

import threading

import numpy as np
import pytest

from edgewright import registry
from edgewright.inference.pipeline import load
from edgewright.runtimes._swap import Swapping


@pytest.fixture
def swapping(demo_bundle, monkeypatch):
    """Let `load` open an artifact so that the one of `precision` takes over when the event is set."""
    usual, may_go = registry.load("runtimes", "onnxruntime"), threading.Event()

    class Slow(usual):
        def _open(self, path, *, threads):
            def make():
                assert may_go.wait(60)
                return usual()._open(demo_bundle / Slow.faster, threads=threads)

            return Swapping(usual()._open(path, threads=threads), make, lambda _: True)

    monkeypatch.setattr("edgewright.inference.pipeline.engine_for", lambda *_: Slow())
    return Slow, may_go


def test_the_proven_session_takes_over(demo_bundle, swapping):
    slow, may_go = swapping
    slow.faster = "onnx/model_quantized.onnx"
    pipeline = load(demo_bundle, precision="int8")
    before = pipeline("a charming and often affecting journey")
    assert pipeline.session.beside == "a faster session is being made"
    may_go.set()
    assert pipeline.session.wait(60)
    assert pipeline("a charming and often affecting journey") == before


def test_a_session_that_fails_the_golden_cases_does_not(demo_bundle, swapping):
    """int8 is not what fp32's golden cases say."""
    slow, may_go = swapping
    slow.faster = "onnx/model_quantized.onnx"
    pipeline = load(demo_bundle, precision="fp32")
    may_go.set()
    assert not pipeline.session.wait(60)
    assert "onnx/fp32, golden case" in pipeline.session.beside
    feeds = pipeline.task.encode(pipeline.tokenizer, ["it drags"]).feeds
    plain = load_plain(demo_bundle / "onnx/model.onnx").run(feeds)["logits"]
    assert np.array_equal(pipeline.session.run(feeds)["logits"], plain)


def load_plain(path):
    return registry.load("runtimes", "onnxruntime")().open(path, threads=1)


def test_serve_asks_for_an_engine_only_where_there_is_a_gpu_and_nothing_was_chosen(demo_bundle, monkeypatch):
    from edgewright.bundle.bundle import Bundle
    from edgewright.serving.model import _accelerated

    bundle, tensorrt = Bundle.open(demo_bundle), registry.load("runtimes", "tensorrt")
    assert _accelerated(bundle, {"threads": 1}) == {"threads": 1}
    monkeypatch.setattr(tensorrt, "serves", lambda _: True)
    chosen = {"format": "onnx", "precision": "fp32", "engine": "tensorrt"}
    assert _accelerated(bundle, {"threads": 1, "precision": None}) == {"threads": 1, **chosen}
    assert _accelerated(bundle, {"precision": "int8"}) == {"precision": "int8"}
