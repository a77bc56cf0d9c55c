"""The seams between the rooms: what a format, an engine and a transport implement."""

__all__: list[str] = []
