"""Converters: one file per format. Each makes artifacts of its format from a torch model, inside a child process."""

__all__: list[str] = []
