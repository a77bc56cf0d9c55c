"""The Swift package: its files, and the C core in it as SwiftPM would compile it. docs/apps.md says what ran."""

import subprocess

import pytest
from click.testing import CliRunner

from edgewright.cli._export.ios import command
from edgewright.exporting import c, ios
from edgewright.exporting.ios import export_ios

TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC", "MISC")


@pytest.mark.slow
def test_a_package_has_the_core_its_headers_and_the_model(made, tmp_path):
    bundle, out = made("bert", "token-classification", TAGS) / "bundle", tmp_path / "ios"
    done = CliRunner().invoke(command, [str(bundle), "--out", str(out), "-q"], catch_exceptions=False)
    assert done.exit_code == 0
    core = out / "Sources" / "CEdgewright"
    assert "Apache License" in (out / "LICENSE").read_text()
    assert {path.name for path in (core / "include").iterdir()} == {*ios._PUBLIC, "module.modulemap"}
    private = {path.name for path in c.SOURCES.iterdir()} - {*ios._PUBLIC, *ios._UNUSED}
    assert {path.name for path in core.iterdir() if path.is_file()} == private
    assets = {path.name for path in (out / "Sources" / "Edgewright" / "assets").iterdir()}
    assert assets == {"model.onnx", "model.onnx.data", "model.txt", "tokenizer.bin", "vectors.json"}
    argv = [
        "gcc",
        "-std=gnu99",
        "-DEW_LINKED_ENGINE",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-fsyntax-only",
        f"-I{core / 'include'}",
    ]
    subprocess.run([*argv, *core.glob("*.c")], check=True)
    export_ios(bundle, out=out, force=True)


def test_the_engine_is_of_one_version():
    package = (ios._SOURCES / "Package.swift").read_text()
    assert package.count("exact:") == package.count(".package(url:") == 1
