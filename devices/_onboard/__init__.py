"""What runs on a board: standard library alone, for Python 3.9 on."""

__all__: list[str] = []
