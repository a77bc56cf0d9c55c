"""Wheels that a board will execute: each is the file that was pinned, from the index and from the cache."""

import itertools

import pytest

from edgewright.boards import wheels
from edgewright.boards.wheels import ENGINES, MACHINES, PYTHONS, Platform, download, requirements
from edgewright.errors import DeviceError

BOARD = Platform("3.11", "aarch64", "2.36")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of wheels, in which pip puts what the test says, by its name."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    fetched = {}

    def pip(words):
        place = tmp_path / words[words.index("--dest") + 1]
        place.mkdir()
        for name, data in fetched.items():
            (place / name).write_bytes(data)

    monkeypatch.setattr(wheels, "pip", pip)
    return fetched


def test_a_wheel_of_the_index_that_is_another_one_is_not_sent(cache):
    name = next(name for name in wheels._hashes() if name.startswith("numpy"))
    cache[name] = b"something else"
    with pytest.raises(DeviceError, match=rf"{name} has SHA-256 .*… is pinned, and is not sent to be executed"):
        download(requirements(("onnx",), "3.11"), BOARD, lambda _: None)
    assert not list(wheels.cache_dir().rglob("*.whl")), "it is kept for the next time"


def test_a_wheel_that_nobody_pinned_is_not_sent(cache):
    cache["surprise-1.0-py3-none-any.whl"] = b"x"
    with pytest.raises(DeviceError, match=r"surprise-1\.0-py3-none-any\.whl has no pinned hash"):
        download(requirements(("onnx",), "3.11"), BOARD, lambda _: None)


def test_a_wheel_that_changed_in_the_cache_is_not_sent(cache, monkeypatch):
    monkeypatch.setattr(wheels, "_hashes", lambda: {"a-1-py3-none-any.whl": wheels.hashlib.sha256(b"good").hexdigest()})
    cache["a-1-py3-none-any.whl"] = b"good"
    (found,) = download(("a==1",), BOARD, lambda _: None)
    found.write_bytes(b"evil")
    with pytest.raises(DeviceError, match="is not sent to be executed"):
        download(("a==1",), BOARD, lambda _: None)
    (found,) = download(("a==1",), BOARD, lambda _: None)
    assert found.read_bytes() == b"good"


@pytest.mark.parametrize(("python", "machine"), [*itertools.product(PYTHONS, MACHINES)])
def test_every_pinned_version_has_a_pinned_hash_for_every_platform(python, machine):
    names = [name.lower().replace("_", "-") for name in wheels._hashes()]
    tag = f"cp{python.replace('.', '')}"
    for wanted in requirements(ENGINES, python):
        begin = wanted.lower().replace("_", "-").replace("==", "-") + "-"
        fits = [
            name
            for name in names
            if name.startswith(begin)
            and ("py3-none-any" in name or (machine.replace("_", "-") in name and (tag in name or "abi3" in name)))
        ]
        assert fits, f"{wanted} for Python {python} on {machine}"
