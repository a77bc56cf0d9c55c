"""Bundles as one file: the same bytes each time, opened by any tar, and refused where anything differs."""

import io
import json
import subprocess
import tarfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgewright.bundle.bundle import Bundle
from edgewright.bundle.packing import opened, pack, unpack
from edgewright.errors import BundleError, StorageError


@pytest.fixture
def packed(bundle_dir, tmp_path):
    return pack(bundle_dir, tmp_path / "b.tar")


def members(path):
    with tarfile.open(path) as archive:
        return [(member, archive.extractfile(member).read()) for member in archive]


def write(path, entries):
    """A tar of (TarInfo, bytes), as hostile as one likes."""
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for member, data in entries:
            archive.addfile(member, io.BytesIO(data))
    return path


def refused(path, tmp_path, words):
    with pytest.raises(BundleError, match=words) as caught:
        unpack(path, tmp_path / "out")
    assert ".unfinished-" not in str(caught.value)
    assert not (tmp_path / "out").exists()
    assert [entry for entry in tmp_path.iterdir() if entry.name.startswith(".")] == []


def test_there_and_back(bundle_dir, packed, tmp_path):
    (bundle_dir / "manifest.json.sig").write_bytes(b"signed")
    again, signed = pack(unpack(packed, tmp_path / "out"), tmp_path / "again.tar"), pack(bundle_dir, tmp_path / "s.tar")
    assert again.read_bytes() == packed.read_bytes() != signed.read_bytes()
    assert (unpack(signed, tmp_path / "signed").directory / "manifest.json.sig").read_bytes() == b"signed"
    with opened(packed) as found, opened(bundle_dir) as same:
        assert found.manifest == same.manifest


def test_what_is_wrong_is_said_of_the_file_that_was_given(packed):
    with opened(packed) as found:
        (found.directory / "manifest.json").unlink()
        with pytest.raises(BundleError, match=f"^{packed} has no manifest.json"):
            Bundle.open(found.directory)


def test_any_tar_opens_it(packed, bundle_dir, tmp_path):
    (tmp_path / "plain").mkdir()
    subprocess.run(["tar", "-x", "-f", packed, "-C", tmp_path / "plain"], check=True)
    assert Bundle.open(tmp_path / "plain").manifest == Bundle.open(bundle_dir).manifest


def test_places_that_are_taken(packed, bundle_dir, tmp_path):
    with pytest.raises(StorageError, match="exists; use --force"):
        pack(bundle_dir, packed)
    assert pack(bundle_dir, packed, force=True) == packed
    with pytest.raises(StorageError, match="cannot write"):
        pack(bundle_dir, tmp_path / "absent" / "b.tar")
    with pytest.raises(StorageError, match="exists; use --force"):
        unpack(packed, bundle_dir)
    with pytest.raises(
        BundleError, match=f"{packed.name} is not a directory; it is a packed bundle: edgewright unpack"
    ):
        Bundle.open(packed)


def test_a_damaged_bundle_is_not_packed(bundle_dir, tmp_path):
    data = (bundle_dir / "config.json").read_bytes()
    (bundle_dir / "config.json").write_bytes(bytes([data[0] ^ 1]) + data[1:])
    with pytest.raises(BundleError, match=r"config\.json has SHA-256"):
        pack(bundle_dir, tmp_path / "b.tar")
    assert not (tmp_path / "b.tar").exists()


def changed(**fields):
    """Change the header of config.json."""

    def change(entries):
        for member, _ in entries:
            for name, value in fields.items() if member.name == "config.json" else ():
                setattr(member, name, value)
        return entries

    return change


def added(name, kind=tarfile.REGTYPE, at=None):
    """Add a member, by default behind the others."""

    def change(entries):
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, "/etc/passwd" if kind != tarfile.REGTYPE else ""
        place = len(entries) if at is None else at
        return [*entries[:place], (member, b""), *entries[place:]]

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (added("../evil"), r"holds '\.\./evil' that the manifest does not list"),
        (added("/etc/evil"), "holds '/etc/evil' that"),
        (added("evil", at=1), r"holds 'evil' where config\.json of \d+ bytes should be"),
        (added("config.json", at=2), r"holds 'config\.json' where golden\.json"),
        (added("CONFIG.JSON"), r"holds 'CONFIG\.JSON' that"),
        (added("evil", tarfile.SYMTYPE), "holds 'evil' that"),
        (added("manifest.json", tarfile.LNKTYPE, at=0), r"'manifest\.json' stands where manifest\.json should be"),
        (added("evil", tarfile.CHRTYPE), "holds 'evil' that"),
        (added("onnx", tarfile.DIRTYPE, at=3), "holds 'onnx"),
        (changed(mode=0o755), r"holds 'config\.json' where config\.json"),
        (changed(mtime=1), r"holds 'config\.json' where config\.json"),
        (changed(type=tarfile.SYMTYPE, linkname="/etc/passwd", size=0), r"holds 'config\.json' where config\.json"),
        (lambda entries: entries[1:], "is no packed bundle"),
        (lambda entries: entries[:-1], r"holds the end where tokenizer_config\.json"),
        (lambda entries: [entries[0], *entries[:0:-1]], r"where config\.json of"),
        (lambda _: [], "is no packed bundle: the end stands"),
    ],
)  # fmt: skip
def test_what_pack_would_not_write_is_refused(packed, tmp_path, change, words):
    refused(write(tmp_path / "bad.tar", change(members(packed))), tmp_path, words)


def test_a_manifest_that_is_too_large_is_not_read(tmp_path):
    member = tarfile.TarInfo("manifest.json")
    member.size = 17 * 2**20
    refused(
        write(tmp_path / "bad.tar", [(member, bytes(member.size))]), tmp_path, "has 17825792 bytes, at most 16777216"
    )


def test_a_manifest_that_asks_for_what_may_not_be(packed, tmp_path):
    (first, data), *others = members(packed)
    tree = json.loads(data)
    tree["files"].append({"path": "../evil", "size_bytes": 0, "sha256": "0" * 64})
    first.size = len(data := json.dumps(tree).encode())
    refused(write(tmp_path / "bad.tar", [(first, data), *others]), tmp_path, "file name '../evil' is not allowed")


def test_no_file_at_all_and_a_directory(tmp_path):
    refused(tmp_path / "absent", tmp_path, "cannot read .*absent: No such file")
    refused(tmp_path, tmp_path, "cannot read .*: Is a directory")


@given(data=st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_flipped_bit_or_an_early_end_anywhere(packed, data):
    """But for the manifest's own text, which a signature protects."""
    whole = packed.read_bytes()
    text = range(512, 512 + members(packed)[0][0].size)
    at = data.draw(st.integers(0, len(whole) - 1).filter(lambda at: at not in text))
    flipped = whole[:at] + bytes([whole[at] ^ 1 << data.draw(st.integers(0, 7))]) + whole[at + 1 :]
    bad = packed.with_name("bad.tar")
    for content in (flipped, whole[:at]):
        bad.write_bytes(content)
        refused(bad, packed.parent, ".")


def test_what_no_header_can_describe_is_said_before_anything_is_read(bundle_dir, tmp_path):
    name = "n" * 150
    (bundle_dir / "config.json").rename(bundle_dir / name)
    tree = json.loads((bundle_dir / "manifest.json").read_bytes())
    next(file for file in tree["files"] if file["path"] == "config.json")["path"] = name
    (bundle_dir / "manifest.json").write_text(json.dumps(tree))
    with pytest.raises(BundleError, match=r"a name of 150 characters, which the packed form cannot hold; "):
        pack(bundle_dir, tmp_path / "b.tar")
    assert not (tmp_path / "b.tar").exists()


def test_eight_gibibytes_are_too_many(bundle_dir, tmp_path):
    with (bundle_dir / "onnx/model.onnx").open("r+b") as file:
        file.truncate(2**33)  # of holes
    tree = json.loads((bundle_dir / "manifest.json").read_bytes())
    tree["artifacts"][0]["size_bytes"] = 2**33
    (bundle_dir / "manifest.json").write_text(json.dumps(tree))
    with pytest.raises(BundleError, match=f"onnx/model.onnx has {2**33} bytes .* which the packed form cannot hold"):
        pack(bundle_dir, tmp_path / "b.tar")


@pytest.mark.parametrize("path", ["n" * 150, "onnx/model.onnx"])
def test_a_packed_manifest_of_what_no_header_can_describe_is_refused(packed, tmp_path, path):
    (first, manifest), *rest = members(packed)
    tree = json.loads(manifest)
    tree["artifacts"][0].update(path=path, size_bytes=2**33)
    data = json.dumps(tree).encode()
    first.size = len(data)
    write(tmp_path / "bad.tar", [(first, data), *rest])
    with pytest.raises(BundleError, match="bytes should be"):
        unpack(tmp_path / "bad.tar", tmp_path / "out")
