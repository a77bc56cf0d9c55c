"""What formats share of encoder-decoders that write text: the model as parts."""

__all__: list[str] = []
