"""What a decoder is made of, read from its eager model once for every format."""

__all__: list[str] = []
