"""Devices without Python: what a board would answer is worked out here, a runner there executes the model."""

__all__: list[str] = []
