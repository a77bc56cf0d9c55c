"""Libraries that log as they are imported."""

from __future__ import annotations

import logging

__all__ = ["hush"]


def hush() -> None:
    """Keep their words off the terminal; call it before they are imported."""
    for name in ("torchao", "torch.utils._pytree", "accelerate"):
        logging.getLogger(name).setLevel(logging.ERROR)
