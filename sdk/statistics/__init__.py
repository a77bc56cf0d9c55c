"""Numbers about numbers: metrics of answers, distances between signals, medians and intervals of times."""

__all__: list[str] = []
