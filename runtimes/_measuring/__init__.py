"""The process that measures, where the artifact runs."""

__all__: list[str] = []
