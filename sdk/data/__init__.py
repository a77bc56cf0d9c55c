"""Labelled rows and plain texts from files."""

__all__: list[str] = []
