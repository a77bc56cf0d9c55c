"""What tests need of Debian: programs installed where the tests run as root, packages unpacked into a cache."""

import os
import shutil
import subprocess

import pytest

from edgewright.devices._emulation.boards import cache_dir
from edgewright.devices._emulation.debian import Wanted, fetch, unpack
from edgewright.errors import DeviceError


def need(program, package):
    """Install a package for its program, or for a file that it brings, or skip with the reason."""
    if shutil.which(program) or os.path.isfile(program):  # noqa: PTH113
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        pytest.skip(f"{program} is not installed; as root on Debian this test installs {package} itself")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update"], ["install", "--yes", "--no-install-recommends", package]):
        argv = ["apt-get", "--quiet", *words]
        done = subprocess.run(argv, capture_output=True, text=True, env=environment, check=False)
        if done.returncode:
            pytest.skip(f"{program} is not installed and apt cannot: {done.stderr.strip().splitlines()[-1]}")


def unpacked(suite, *packages, architecture=""):
    """A directory with packages and all that they need, by default for this machine, or a skip with the reason."""
    made = cache_dir().with_name("tests") / "-".join((suite, *packages, *filter(None, [architecture])))
    if made.is_dir():
        return made
    need("dpkg", "dpkg")
    argv = ["dpkg", "--print-architecture"]
    architecture = architecture or subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()
    made.parent.mkdir(parents=True, exist_ok=True)
    part = made.with_name(f".{made.name}.{os.getpid()}")
    try:
        wanted = Wanted(suite, architecture, packages)
        files = fetch(wanted, part / "downloads", "", lambda _: None)
    except DeviceError as error:
        shutil.rmtree(part, ignore_errors=True)
        pytest.skip(f"{', '.join(packages)} of {suite} cannot be had: {error}")
    unpack(files, part / "root")
    shutil.rmtree(part / "downloads")
    (part / "root").rename(made)
    shutil.rmtree(part)
    return made
