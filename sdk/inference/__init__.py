"""From a bundle to answers, on the engines of this machine."""

__all__: list[str] = []
