"""What is made of a bundle for other clients and for the updaters of fleets."""

__all__: list[str] = []
