"""How a model is opened: products of int8 do not saturate, where the engine can help it."""

import pytest

from edgewright.runtimes import onnxruntime

EXACT = "session.x64quantprecision"


@pytest.fixture
def runtime(monkeypatch):
    monkeypatch.setattr(onnxruntime, "products_saturate", lambda: True)
    return onnxruntime.OnnxRuntime()


def test_every_kind_of_model_is_opened_in_the_exact_form(runtime, monkeypatch, tmp_path):
    asked = []

    class OpenedError(Exception):
        pass

    def opened(path, options):
        try:
            asked.append((path.name, options.get_session_config_entry(EXACT)))
        except RuntimeError:  # an option that was not given
            asked.append((path.name, "0"))
        raise OpenedError

    monkeypatch.setattr(runtime, "_opened", opened)
    for opens in (
        lambda path: runtime._open(path, threads=1),
        lambda path: runtime._open_decoder(path, threads=1, context=8),
        lambda path: runtime._open_encoder_decoder(path, threads=1, context=8),
    ):
        with pytest.raises(OpenedError):
            opens(tmp_path / "model.onnx")
    plainly = [("model.onnx", "1"), ("model.onnx", "0")]
    assert asked[:4] == plainly * 2, "an engine that refuses the exact form is asked for the other"
    assert [exact for _, exact in asked[4:]] == ["1", "0"]
