"""Results as pages: tables, charts and flame charts that need no network and no script."""

__all__: list[str] = []
