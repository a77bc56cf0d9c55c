"""Profiles of boards: the project's are whole and sourced, a user's are held to the same, and what follows."""

import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright import registry
from edgewright.boards.catalogue import Profile, named, read_profile, wanted, written_profiles
from edgewright.errors import UsageError
from edgewright.system.toml import read_toml, record

FOLDER = Path(__file__).parents[2] / "devices" / "profiles"
BOARDS = sorted(path.stem for path in FOLDER.glob("*.toml"))
WANTED = {
    *("raspberry-pi-zero-2-w", "raspberry-pi-3b-plus", "raspberry-pi-4", "raspberry-pi-5", "raspberry-pi-500"),
    *("jetson-nano", "jetson-orin-nano", "jetson-orin-nano-super", "jetson-orin-nx", "jetson-agx-orin"),
    *("jetson-xavier-nx", "pixel-6", "pixel-8", "pixel-9", "galaxy-s23", "galaxy-s24", "galaxy-s25"),
    *("android-arm64", "x86-64"),
}


def test_every_board_has_its_file():
    assert set(BOARDS) == WANTED


@pytest.mark.parametrize("board", BOARDS)
def test_a_profile_is_whole(board):
    profile = read_profile(FOLDER / f"{board}.toml")
    assert record(msgspec.to_builtins(profile), Profile, board) == profile
    formats = [cell.partition("/") for cell in profile.run.prefer]
    for name, _, precision in formats:
        assert precision in registry.load("converters", name).precisions
    assert len(set(profile.run.prefer)) == len(profile.run.prefer)
    assert profile.recognized.models or profile.recognized.products or profile.recognized.generic


def test_no_two_boards_are_recognized_by_the_same_name():
    every = [named(board).recognized for board in BOARDS]
    names = [name for one in every for name in (*one.models, *one.products, one.generic) if name]
    assert len(set(names)) == len(names)


@pytest.fixture
def pi(tmp_path):
    """Change the file of the Raspberry Pi 4; read the result."""

    def change(old, new):
        text = (FOLDER / "raspberry-pi-4.toml").read_text()
        assert old in text
        path = tmp_path / "mine.toml"
        path.write_text(text.replace(old, new, 1))
        return read_profile(path)

    return change


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("clock_mhz", "clock_hz", r"unknown field cpu.clusters\[0\].clock_hz, did you mean clock_mhz\?; .* have core,"),
        ("count = 4\n", "", r"cpu.clusters\[0\].count is missing; cpu.clusters\[0\] may have core, count"),
        ("count = 4", 'count = "4"', r"cpu.clusters\[0\].count is '4': expected `int`, got `str`"),
        ("count = 4", "count = 0", r"cpu.clusters\[0\].count is 0: expected `int` >= 1"),
        ("count = 4", "count = true", r"cpu.clusters\[0\].count is True: expected `int`, got `bool`"),
        ('"neon"', '"noen"', r"cpu.instructions\[0\] is 'noen', did you mean neon\?; allowed: neon, crc32"),
        ("aarch64", "arm", "cpu.architecture is 'arm'; allowed: aarch64, x86_64"),
        ("2048,", '"2048",', r"memory.ram_mib\[1\] is '2048': expected `int`"),
        ('python = "3.13"', 'python = "three"', "system.python is 'three': expected `str` matching regex"),
        ("[recognized]", "[recognised]", "unknown field recognised, did you mean recognized"),
        (", https://www.raspberrypi.com/documentation/computers/processors.html#bcm2711", "", r"sources\[1\] is 'Proc"),
        ('"onnx/int8"', '"onxx/int8"', "run.prefer names 'onxx', did you mean onnx"),
        ('"onnx/int8"', '"onnx/int9"', r"run.prefer\[0\] is 'onnx/int9'"),
        ('"onnx/int8"', '"executorch/int8"', "run.prefer names 'executorch', which none of its engines opens"),
        ("threads = 4", "threads = 5", "run.threads is 5, cpu.clusters has 4 cores"),
        ('affinity = ["Cortex-A72"]', 'affinity = ["Cortex-A7"]', "run.affinity names 'Cortex-A7', did you mean"),
        ('name = "litert"', 'name = "liter"', "engines names 'liter', did you mean litert"),
        ("[cpu]", "[cpu", "is not TOML: .*line 4"),
        ('vendor = "Raspberry Pi Ltd"', 'vendor = ""', "vendor is '': expected `str` of length >= 1"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_file_field_and_what_is_allowed(pi, old, new, words):
    with pytest.raises(UsageError, match=rf"mine.toml.*{words}"):
        pi(old, new)


@given(st.data())
def test_a_field_that_is_renamed_is_found_wherever_it_stands(data):
    """Law: one key of a good profile changed is one UsageError that names its path."""
    tree = read_toml(FOLDER / f"{data.draw(st.sampled_from(BOARDS))}.toml")[1]
    tables = [([], tree)]
    for path, table in tables:
        for key, value in table.items():
            inner = value if isinstance(value, list) else [value]
            tables += [([*path, key], item) for item in inner if isinstance(item, dict)]
    path, table = data.draw(st.sampled_from(tables))
    key = data.draw(st.sampled_from(sorted(table)))
    table[f"{key}x"] = table.pop(key)
    with pytest.raises(UsageError) as caught:
        record(tree, Profile, "f")
    words = re.sub(r"\[\d+\]", "", str(caught.value))
    assert f"f: unknown field {'.'.join([*path, f'{key}x'])}" in words


def test_what_cannot_be_read_is_said(tmp_path):
    with pytest.raises(UsageError, match=r"cannot read .*nonesuch.toml: No such file"):
        read_profile(tmp_path / "nonesuch.toml")
    (tmp_path / "big.toml").write_bytes(b"#" * (2**20 + 1))
    with pytest.raises(UsageError, match=r"has 1048577 bytes, at most 1048576 are read"):
        read_profile(tmp_path / "big.toml")
    (tmp_path / "latin.toml").write_bytes(b'name = "\xe4"')
    with pytest.raises(UsageError, match=r"latin.toml is not TOML: "):
        read_profile(tmp_path / "latin.toml")


def test_a_user_s_profiles_stand_beside_the_project_s_and_the_nearest_wins(tmp_path, monkeypatch):
    text = (FOLDER / "raspberry-pi-4.toml").read_text()
    for place, name in (("config/edgewright/profiles", "one"), ("variable", "two"), ("option", "three")):
        (tmp_path / place).mkdir(parents=True)
        for file in (name, "mine"):
            (tmp_path / place / f"{file}.toml").write_text(text.replace("Raspberry Pi 4 Model B", name, 1))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert (named("one").name, named("mine").name, named("raspberry-pi-5").vendor) == ("one", "one", "Raspberry Pi Ltd")
    monkeypatch.setenv("EDGEWRIGHT_PROFILES", str(tmp_path / "variable"))
    assert (named("two").name, named("mine").name) == ("two", "two")
    assert named("mine", tmp_path / "option").name == "three"
    assert written_profiles(tmp_path / "option").keys() == WANTED | {"one", "two", "three", "mine"}
    with pytest.raises(
        UsageError, match=r"no profile 'raspbery-pi-4', did you mean raspberry-pi-4\?; profiles: android"
    ):
        named("raspbery-pi-4")
    with pytest.raises(UsageError, match=r"nonesuch is no directory of profiles; it holds NAME.toml files"):
        named("mine", tmp_path / "nonesuch")


def test_what_a_board_runs_best_and_what_is_asked_for_all_the_same():
    pi, jetson = named("raspberry-pi-4"), named("jetson-orin-nano")
    assert list(wanted(pi).items()) == [("onnx", ["int8"]), ("tflite", ["int8"])]
    assert wanted(pi, ("onnx",)) == {"onnx": ["int8"]}
    assert wanted(pi, (), ("fp32", "int8")) == {"onnx": ["fp32", "int8"], "tflite": ["fp32", "int8"]}
    assert wanted(pi, ("executorch",)) == {"executorch": ["int8"]}
    assert list(wanted(jetson)) == ["tflite", "onnx"]  # what TensorRT builds runs on the GPU that built it alone
    assert wanted(jetson, ("tensorrt",)) == {"tensorrt": ["fp16"]}
