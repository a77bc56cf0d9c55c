"""The search for a recipe: trials from a space, on limits of score, latency and size."""

__all__: list[str] = []
