"""`require_engine` by the name that every version of edgewright asks a board for."""

from edgewright.inference.doctor import require_engine

__all__ = ["require_engine"]
