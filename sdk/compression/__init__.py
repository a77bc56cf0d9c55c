"""Recipes that make a trained model smaller, and the steps that they name."""

__all__: list[str] = []
