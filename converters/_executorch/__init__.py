"""What the format `executorch` is made by."""

__all__: list[str] = []
