"""What the format `tensorrt` is made by."""

__all__: list[str] = []
