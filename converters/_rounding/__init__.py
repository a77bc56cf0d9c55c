"""How weights and activations become integers, whatever the format."""

__all__: list[str] = []
