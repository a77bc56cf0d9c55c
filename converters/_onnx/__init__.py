"""What the formats `onnx` and `ort` are made by."""

__all__: list[str] = []
