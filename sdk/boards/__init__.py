"""Boards as this machine sees them: how they are reached, asked, installed on and estimated."""

__all__: list[str] = []
