"""The bundle: its manifest, how it is opened, packed into one file and signed."""

__all__: list[str] = []
