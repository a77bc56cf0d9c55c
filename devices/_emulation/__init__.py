"""Emulated boards: how they are made, and what is counted on them."""

__all__: list[str] = []
