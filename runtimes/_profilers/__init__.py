"""Each engine's own profiler, read as a trace of operators."""

__all__: list[str] = []
