"""Packages that one file of tests asks: each worker collects every file, and few of them run it."""

import importlib.util
import sys

import pytest


def need(*names):
    """Skip the file where a package is not installed, as `pytest.importorskip` does, without importing it."""
    for name in names:
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed: pip install {name}", allow_module_level=True)


def later(name):
    """A module that is imported when something of it is asked for."""
    if name in sys.modules:
        return sys.modules[name]
    need(name)
    spec = importlib.util.find_spec(name)
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
