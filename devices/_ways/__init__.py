"""What transports share: programs of this machine, and files over ways that only run programs."""

__all__: list[str] = []
