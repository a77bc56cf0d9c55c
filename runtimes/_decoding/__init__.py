"""Decoders of the engines, each with its cache."""

__all__: list[str] = []
