"""A device without Python: its disk and machine behind a runner."""

__all__: list[str] = []
