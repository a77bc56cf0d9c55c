"""What the format `torchscript` is made by."""

__all__: list[str] = []
