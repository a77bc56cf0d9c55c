"""What `edgewright export` writes, one file for each target."""

__all__: list[str] = []
