"""The model that comes in: where it lies, and what its own files say of it."""

__all__: list[str] = []
