"""`Client` by the name under which the guide gives it to programs on a board."""

from edgewright.serving.client import Client

__all__ = ["Client"]
