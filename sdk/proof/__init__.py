"""What an artifact must show before it may enter a bundle, and what a bundle must show again."""

__all__: list[str] = []
