"""The demo bundle for RAUC and Mender: opened and unpacked by their own programs, then installed by its script."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import edgewright, only, second
from debian import need


@pytest.fixture(scope="module")
def bundle(demo_bundle, tmp_path_factory):
    return only(demo_bundle, tmp_path_factory.mktemp("fleet") / "int8", "int8")


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """A self-made certificate with its key, another one, and the public key."""
    need("openssl", "openssl")
    folder = tmp_path_factory.mktemp("keys")
    for name in ("ours", "other"):
        run("openssl", "genrsa", "-traditional", "-out", folder / f"{name}.key", "2048")
        words = ["-subj", f"/CN={name}", "-days", "10", "-out", folder / f"{name}.crt"]
        run("openssl", "req", "-x509", "-new", "-key", folder / f"{name}.key", *words)
        run("openssl", "rsa", "-in", folder / f"{name}.key", "-pubout", "-out", folder / f"{name}.pub")
    return folder


def run(*argv, check=True, **env):
    done = subprocess.run(
        [*map(str, argv)], capture_output=True, text=True, check=False, env={**os.environ, **env}, timeout=300
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def flipped(path, at):
    """A copy with one bit flipped, `at` a share of its length."""
    data = bytearray(path.read_bytes())
    data[int(len(data) * at)] ^= 1
    copy = path.with_name(f"bad{path.suffix}")
    copy.write_bytes(data)
    return copy


def script(*argv, **env):
    """Run a script of the board, which finds this edgewright."""
    return run(*argv, PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}", **env)


def active(root):
    return os.path.basename(os.readlink(root / "current"))  # noqa: PTH115, PTH119


def test_rauc(bundle, keys, tmp_path):
    need("rauc", "rauc")
    need("mksquashfs", "squashfs-tools")
    out, root = tmp_path / "model.raucb", tmp_path / "board's root"
    words = ["--cert", keys / "ours.crt", "--key", keys / "ours.key", "--compatible", "pi-4", "--root", root]
    edgewright("export", "rauc", bundle, "--out", out, *words, "-q")
    told = json.loads(run("rauc", "info", "--keyring", keys / "ours.crt", "--output-format=json", out).stdout)
    assert (told["compatible"], told["version"]) == ("pi-4", "0")
    run("rauc", "extract", "--keyring", keys / "ours.crt", out, tmp_path / "content")
    script(tmp_path / "content/install", RAUC_BUNDLE_MOUNT_POINT=str(tmp_path / "content"))
    assert active(root).startswith("000001-")
    for bad, keyring in ((flipped(out, 0.5), "ours"), (flipped(out, 0.9999), "ours"), (out, "other")):
        done = run("rauc", "extract", "--keyring", keys / f"{keyring}.crt", bad, tmp_path / "no", check=False)
        assert done.returncode != 0, done.stdout
        assert not (tmp_path / "no/bundle.tar").exists()
    assert "exists; use --force" in edgewright("export", "rauc", bundle, "--out", out, *words, check=3)
    words[3] = keys / "other.key"
    assert "rauc ended with exit code 1" in edgewright(
        "export", "rauc", bundle, "--out", out, *words, "--force", check=3
    )


def test_mender(bundle, keys, tmp_path):
    need("mender-artifact", "mender-artifact")
    root, newer = tmp_path / "board", second(bundle, tmp_path / "newer")
    first, update = tmp_path / "first.mender", tmp_path / "update.mender"
    for version, out in ((bundle, first), (newer, update)):
        words = ["--device-type", "pi-4", "--key", keys / "ours.key", "--root", root]
        edgewright("export", "mender", version, "--out", out, *words, "-q")
    run("mender-artifact", "validate", "-k", keys / "ours.pub", update)
    told = run("mender-artifact", "read", "-k", keys / "ours.pub", update).stdout
    assert "edgewright-2-" in told
    assert "pi-4" in told
    assert "signed and verified correctly" in told
    for bad, key in ((flipped(update, 0.5), "ours"), (update, "other")):
        assert run("mender-artifact", "validate", "-k", keys / f"{key}.pub", bad, check=False).returncode != 0
    module = tmp_path / "update.mender.module"
    for out in (first, update):
        work = tmp_path / out.stem
        run("mender-artifact", "dump", "--files", work / "files", out)
        script(module, "ArtifactInstall", work)
    assert active(root).startswith("000002-")
    assert script(module, "SupportsRollback", work).stdout == "Yes\n"
    assert script(module, "NeedsArtifactReboot", work).stdout == "No\n"
    for _ in range(2):  # the second changes nothing: what was before is active
        script(module, "ArtifactRollback", work)
        assert active(root).startswith("000001-")


@pytest.mark.parametrize("target", ["rauc", "mender"])
def test_a_missing_program_is_said_with_its_package(bundle, tmp_path, target):
    more = {"rauc": ["--cert", "c", "--key", "k", "--compatible", "x"], "mender": ["--device-type", "x"]}[target]
    line = edgewright("export", target, bundle, "--out", tmp_path / "out", *more, check=6, PATH=str(tmp_path))
    assert "is not installed; run: apt install" in line
    assert list(tmp_path.iterdir()) == []
