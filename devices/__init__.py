"""Devices: one file per transport, and what is known of each board."""

__all__: list[str] = []
