"""A board in memory, for tests."""

__all__: list[str] = []
