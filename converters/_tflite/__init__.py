"""What the format `tflite` is made by."""

__all__: list[str] = []
