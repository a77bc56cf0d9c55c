"""How a model is opened: products of int8 do not saturate, where the engine can help it."""

import pytest
from onnx_wire import empty_model

from edgewright.bundle.external_data import encoder_of, weights_of
from edgewright.runtimes import onnxruntime

EXACT = "session.x64quantprecision"
EMPTY = empty_model(b"nothing")


@pytest.fixture
def runtime(monkeypatch):
    monkeypatch.setattr(onnxruntime, "products_saturate", lambda: True)
    return onnxruntime.OnnxRuntime()


def test_every_kind_of_model_is_opened_in_the_exact_form(runtime, monkeypatch, tmp_path):
    asked, path = [], tmp_path / "model.onnx"
    for file in (path, path.with_name(encoder_of(path.name)), path.with_name(weights_of(path.name))):
        file.write_bytes(EMPTY)

    class OpenedError(Exception):
        pass

    def opened(model, options):
        try:
            asked.append((model, options.get_session_config_entry(EXACT)))
        except RuntimeError:  # an option that was not given
            asked.append((model, "0"))
        raise OpenedError

    monkeypatch.setattr(runtime, "_opened", opened)
    for opens in (
        lambda path: runtime._open(path, threads=1),
        lambda path: runtime._open_decoder(path, threads=1, context=8),
        lambda path: runtime._open_encoder_decoder(path, threads=1, context=8),
    ):
        with pytest.raises(OpenedError):
            opens(path)
    whole = [(str(path), "1"), (EMPTY, "1"), (str(path), "0")]
    assert asked[:3] == whole, "exact, exact with unshared weights, or not"
    assert asked[3:8] == [(EMPTY, "1"), *whole[:2], (EMPTY, "0"), whole[2]], "and a decoder with its head first"
    assert [exact for _, exact in asked[8:]] == ["1", "1", "0"]
