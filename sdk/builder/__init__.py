"""From a source to a bundle."""

__all__: list[str] = []
