"""What a model attends to and what its layers know."""

__all__: list[str] = []
