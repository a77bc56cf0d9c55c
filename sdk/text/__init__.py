"""From texts to token ids: the tokenizer, batches of encodings, and the lengths that they are padded to."""

__all__: list[str] = []
