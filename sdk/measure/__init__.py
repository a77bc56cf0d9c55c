"""Time, memory and operators of an artifact, and how far each number can be trusted."""

__all__: list[str] = []
