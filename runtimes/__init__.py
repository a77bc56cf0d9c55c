"""Engines: one file each. Each opens artifacts of its formats and runs them."""

__all__: list[str] = []
