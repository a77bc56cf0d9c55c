"""A model that stays open and answers others on this machine."""

__all__: list[str] = []
