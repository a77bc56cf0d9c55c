"""Probes: of this machine for real, over a real ssh server, of imports that die, and which profile a board matches."""

import json
import os
import platform
import subprocess
import sys
from dataclasses import fields, replace

import pytest
from loopback import Sshd, serve

from edgewright.boards.agent import PythonBoard
from edgewright.boards.catalogue import read_profile, written_profiles
from edgewright.boards.facts import Match, ask_facts, match, throttling
from edgewright.contracts.board import Describe, Module
from edgewright.contracts.board_answers import Cores, Facts, Package
from edgewright.devices._fake.board import Fake
from edgewright.devices.local import Local
from edgewright.errors import DeviceError
from edgewright.system import machine

PROFILES = {name: read_profile(path) for name, path in written_profiles().items()}


def asked(packages, *, timeout_s=60.0, python=""):
    """The states of packages on this machine."""
    request = Describe(tuple(Module(name, name) for name in packages), python, timeout_s)
    found = PythonBoard(Local()).answer(request, within_s=120)
    return found, {row.module: row.state for row in found.packages}


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """Modules that children of this process find."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(text)

    return write


def test_this_machine_says_what_it_is():
    found, states = asked(["numpy", "no_such_package"])
    assert sum(len(one.numbers) for one in found.cores) == os.cpu_count()
    assert (found.architecture, found.python) == (platform.machine(), platform.python_version())
    assert 0 < found.free_ram_mib < found.ram_mib
    assert found.disk_free_bytes > 2**20
    assert states == {"numpy": "imports", "no_such_package": "missing"}
    assert found.packages[0].version.count(".") == 2


@pytest.mark.slow
def test_an_import_that_dies_raises_or_hangs_is_an_answer(modules):
    modules("dies", "import os, signal\nos.kill(os.getpid(), signal.SIGILL)")
    modules("raises", "raise ImportError('libfoo.so.1: cannot open shared object file')")
    modules("hangs", "import time\ntime.sleep(60)")
    modules("works", "__version__ = '1.2'")
    found, states = asked(["dies", "raises", "works"])
    assert states == {
        "dies": "it died of SIGILL",
        "raises": "ImportError: libfoo.so.1: cannot open shared object file",
        "works": "imports",
    }
    assert [row.version for row in found.packages] == ["", "", "1.2"]
    _, states = asked(["hangs"], timeout_s=1.5)
    assert "took longer than 1.5 s and was ended" in states["hangs"]


def test_a_python_that_does_not_start_is_said(tmp_path):
    found, states = asked(["numpy"], python=str(tmp_path / "python"))
    assert (found.python, states) == ("", {"numpy": "missing"})
    assert found.problem == f"the board cannot run {tmp_path}/python: No such file or directory"


def test_a_board_in_memory_is_probed_too():
    assert ask_facts(Fake()).model == "a board in memory"


def test_a_board_with_too_much_to_say_is_not_listened_to(monkeypatch):
    found = replace(ask_facts(Fake()), packages=(Package("numpy", "", "x" * 1001),))
    monkeypatch.setattr(Fake, "_answer", lambda *_: found)
    with pytest.raises(DeviceError, match=r"1001 characters, at most 1000 are read - at `\$\.packages\[0\]\.state`"):
        ask_facts(Fake())


CPUINFO = """\
processor\t: 0
Features\t: fp asimd crc32 fphp asimdhp asimddp i8mm
CPU implementer\t: 0x41
CPU part\t: 0xd46

processor\t: 1
Features\t: fp asimd crc32 fphp asimdhp asimddp i8mm
CPU implementer\t: 0x41
CPU part\t: 0xd4e

processor\t: 2
Features\t: fp asimd crc32 fphp asimdhp asimddp i8mm
CPU implementer\t: 0x41
CPU part\t: 0xd46

Hardware\t: A board
"""


def test_kinds_of_cores_and_instruction_sets_are_read_from_what_linux_shows(monkeypatch):
    texts = {"/proc/cpuinfo": CPUINFO, "/sys/devices/system/cpu/cpu1/cpufreq/cpuinfo_max_freq": "2910000\n"}
    texts["/etc/os-release"] = 'ID=debian\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n'
    monkeypatch.setattr(machine, "_text", lambda path: texts.get(path, ""))
    found = machine.identity()
    assert found["cores"] == [
        {"kind": "0x41:0xd46", "numbers": [0, 2], "clock_mhz": None},
        {"kind": "0x41:0xd4e", "numbers": [1], "clock_mhz": 2910.0},
    ]
    assert set(found["instructions"]) == {"neon", "crc32", "fp16", "dotprod", "i8mm"}
    assert (found["model"], found["os"]) == ("A board", "Debian GNU/Linux 12 (bookworm)")


def test_android_is_asked_for_its_product(monkeypatch, tmp_path):
    (tmp_path / "getprop").write_text(
        '#!/bin/sh\ncase $1 in ro.product.model) echo "Pixel 8";; ro.build.version.release) echo 14;; esac\n'
    )
    (tmp_path / "getprop").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert [machine.identity()[name] for name in ("product", "os")] == ["Pixel 8", "Android 14"]


def facts(model="", product="", kinds=(), architecture="aarch64"):
    cores = tuple(Cores(kind, (at,)) for at, kind in enumerate(kinds))
    what = {"model": model, "product": product, "architecture": architecture, "cores": cores}
    silent = dict.fromkeys(field.name for field in fields(Facts) if field.type.startswith("Optional"))
    words = dict.fromkeys(("os", "kernel", "python", "executable", "problem"), "")
    return Facts(**what, **words, **silent, instructions=(), ram_mib=1, packages=())


@pytest.mark.parametrize(
    ("found", "profile", "by", "alike"),
    [
        (facts("Raspberry Pi 4 Model B Rev 1.4"), "raspberry-pi-4", "name", ()),
        (facts("Raspberry Pi 3 Model B Plus Rev 1.3"), "raspberry-pi-3b-plus", "name", ()),
        (facts("Raspberry Pi Zero 2 W Rev 1.0"), "raspberry-pi-zero-2-w", "name", ()),
        (facts("Raspberry Pi 5 Model B Rev 1.0"), "raspberry-pi-5", "name", ()),
        (facts("Raspberry Pi 500 Rev 1.0"), "raspberry-pi-500", "name", ()),
        (facts("NVIDIA Jetson Nano Developer Kit"), "jetson-nano", "name", ()),
        (facts("NVIDIA Jetson Orin Nano Developer Kit"), "jetson-orin-nano", "name", ()),
        (
            facts("NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super"),
            *("jetson-orin-nano-super", "name", ()),
        ),
        (facts("NVIDIA Jetson Orin NX Engineering Reference Developer Kit"), "jetson-orin-nx", "name", ()),
        (facts("NVIDIA Jetson AGX Orin Developer Kit"), "jetson-agx-orin", "name", ()),
        (facts("NVIDIA Jetson Xavier NX Developer Kit (eMMC)"), "jetson-xavier-nx", "name", ()),
        (facts("", "Pixel 8"), "pixel-8", "name", ()),
        (facts("", "Pixel 8 Pro"), "android-arm64", "architecture", ()),
        (facts("", "SM-S911B"), "galaxy-s23", "name", ()),
        (facts("", "SM-S921U1"), "galaxy-s24", "name", ()),
        (facts("", "SM-S921B"), "android-arm64", "architecture", ()),
        (facts("Raspberry Pi Compute Module 4 Rev 1.1", kinds=["0x41:0xd08"]), "raspberry-pi-4", "cores", ()),
        (facts("emulated", kinds=["0x41:0xd0b"]), "raspberry-pi-5", "cores", ("raspberry-pi-500",)),
        (facts("some board", kinds=["0x41:0xd05"]), "", "", ()),
        (facts("Some CPU", architecture="x86_64"), "x86-64", "architecture", ()),
    ],
    ids=lambda value: value.model or value.product if isinstance(value, Facts) else "",
)
def test_a_board_matches_by_name_then_by_cores_then_by_architecture(found, profile, by, alike):
    assert match(found, PROFILES) == Match(profile, by, alike)


def test_throttling_in_words():
    assert throttling(0) == []
    assert throttling(0x50005) == [
        *("under-voltage now", "throttled now"),
        *("under-voltage since the start", "throttled since the start"),
    ]


@pytest.mark.slow
def test_a_board_behind_ssh_is_probed_with_nothing_installed_there(tmp_path, monkeypatch):
    """By a Python without packages, so that none of this machine's many takes its time to import."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True)
    server = serve(Sshd, tmp_path)
    try:
        monkeypatch.setenv("PATH", server.path)
        argv = [sys.executable, "-m", "edgewright", "devices", "probe", server.url, "--json"]
        argv += ["--python", str(tmp_path / "venv/bin/python"), "--root", str(tmp_path / "root")]
        found = json.loads(subprocess.run(argv, check=True, capture_output=True).stdout)
    finally:
        server.stop()
    here, _ = asked([])
    assert (found["emulated"], found["facts"]["kernel"]) == (False, here.kernel)
    assert [one["kind"] for one in found["facts"]["cores"]] == [one.kind for one in here.cores]
    assert {row["state"] for row in found["rows"]} == {"missing"}
    assert {"edgewright", "onnxruntime", "ai_edge_litert"} <= {row["package"] for row in found["rows"]}
    assert found["match"]["profile"] == match(here, PROFILES).profile
    assert not (tmp_path / "root").exists()
