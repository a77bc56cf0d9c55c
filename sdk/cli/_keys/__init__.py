"""The commands of `edgewright devices`, one file each."""

__all__: list[str] = []
