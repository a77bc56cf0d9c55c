"""Text out of a decoder: which token comes next, when to stop, and how tokens become text again. numpy alone."""

__all__: list[str] = []
