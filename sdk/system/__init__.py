"""What edgewright stands on: files, child processes, threads, and the machine at hand."""

__all__: list[str] = []
