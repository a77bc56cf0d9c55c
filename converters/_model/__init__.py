"""The eager model in a child: loaded, looked into, and handed to the formats."""

__all__: list[str] = []
