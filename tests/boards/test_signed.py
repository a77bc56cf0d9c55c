"""Signatures by real ssh-keygen, and boards with an owner's key: what was tampered with is refused, nothing changes."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress

import pytest
from onboard import Here, contents, tiny

from edgewright.boards.flash import flash, rekey, rollback, status, uninstall
from edgewright.bundle import manifest
from edgewright.bundle.bundle import Bundle
from edgewright.bundle.rotation import rotate
from edgewright.bundle.signing import check_placed, check_signature, sign
from edgewright.bundle.sshsig import NAMESPACE
from edgewright.contracts.board_commands import Checks
from edgewright.devices.local import Local
from edgewright.errors import BundleError, DeviceError, EdgewrightError, UsageError
from edgewright.serving.model import open_model

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")
PASS = (sys.executable, "-c", "")
CHECKS = Checks.programs((), PASS, PASS)


def keygen(*arguments, **options):
    subprocess.run(["ssh-keygen", "-q", *map(str, arguments)], check=True, capture_output=True, **options)


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """Keys of an owner, of one whose key was revoked, and of a stranger; who may sign; what is revoked."""
    root = tmp_path_factory.mktemp("keys")
    for name in ("owner", "old", "stranger"):
        keygen("-t", "ed25519", "-N", "", "-C", name, "-f", root / name)
    lines = [f"{name}@example.org {(root / f'{name}.pub').read_text()}" for name in ("owner", "old")]
    (root / "signers").write_text("".join(lines))
    keygen("-k", "-f", root / "revoked", root / "old.pub")
    return root


@pytest.fixture(scope="module")
def _signed(tmp_path_factory, keys):
    root = tiny(tmp_path_factory.mktemp("signed") / "bundle", 2)
    sign(root, keys / "owner")
    return root


@pytest.fixture
def bundle(tmp_path, _signed):
    """A bundle that the owner signed."""
    return shutil.copytree(_signed, tmp_path / "bundle")


def check(bundle, keys, **options):
    return check_signature(bundle, keys / "signers", **{"revoked": keys / "revoked", **options})


def test_the_owner_is_named(bundle, keys):
    assert check(bundle, keys) == "owner@example.org"


def test_a_signature_is_replaced(bundle, keys):
    sign(bundle, keys / "old")
    assert check(bundle, keys, revoked=None) == "old@example.org"
    assert sorted(path.name for path in bundle.iterdir()) == [
        "config.json",
        "manifest.json",
        "manifest.json.sig",
        "onnx",
    ]


def test_a_key_under_two_names_is_one_key(bundle, keys, tmp_path):
    key = (keys / "owner.pub").read_text()
    (tmp_path / "signers").write_text(f"one@example.org {key}two@example.org {key}")
    assert check_signature(bundle, tmp_path / "signers") == "one@example.org"


def test_a_damaged_bundle_is_not_signed(bundle, keys):
    (bundle / "config.json").write_bytes(b"[]")
    with pytest.raises(BundleError, match=r"config\.json has SHA-256"):
        sign(bundle, keys / "owner")


def test_a_key_with_a_passphrase_is_not_waited_for(bundle, tmp_path):
    keygen("-t", "ed25519", "-N", "secret", "-f", tmp_path / "locked")
    with pytest.raises(UsageError, match=r"does not sign: .*ssh-add"):
        sign(bundle, tmp_path / "locked")


def test_a_key_that_is_not_there(bundle, keys, tmp_path):
    with pytest.raises(UsageError, match="there is no key"):
        sign(bundle, tmp_path / "gone")
    with pytest.raises(UsageError, match="there is no revocation list"):
        check(bundle, keys, revoked=tmp_path / "gone")
    with pytest.raises(BundleError, match="no file of allowed signers"):
        check_signature(bundle, tmp_path / "gone")


# what can be done to a bundle; each gives the words of the refusal


def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def edit(bundle, **fields):
    path = bundle / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def unsigned(bundle, keys):  # noqa: ARG001
    (bundle / "manifest.json.sig").unlink()
    return "not signed, and a signature is required"


def strangers_key(bundle, keys):
    sign(bundle, keys / "stranger")
    return "no allowed signer made the signature"


def revoked_key(bundle, keys):
    sign(bundle, keys / "old")
    return "the signature of old@example.org does not hold"


def another_purpose(bundle, keys):
    (bundle / "manifest.json.sig").unlink()
    keygen("-Y", "sign", "-n", "git", "-f", keys / "owner", bundle / "manifest.json")
    return "the signature of owner@example.org does not hold"


def of_another_release(bundle, keys):
    other = tiny(bundle.parent / "other", 1)
    sign(other, keys / "owner")
    shutil.copyfile(other / "manifest.json.sig", bundle / "manifest.json.sig")
    return "the signature of owner@example.org does not hold"


def manifest_edited(bundle, keys):  # noqa: ARG001
    edit(bundle, version=3)
    return "the signature of owner@example.org does not hold"


def file_and_manifest_edited(bundle, keys):  # noqa: ARG001
    tree, data = json.loads((bundle / "manifest.json").read_text()), b'{"x": 1}'
    (bundle / "config.json").write_bytes(data)
    tree["files"][0] |= {"size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    edit(bundle, **tree)
    return "the signature of owner@example.org does not hold"


def signature_flipped(bundle, keys):  # noqa: ARG001
    flip(bundle / "manifest.json.sig", 150)
    return "signature"


def signature_cut(bundle, keys):  # noqa: ARG001
    path = bundle / "manifest.json.sig"
    path.write_bytes(path.read_bytes()[:100])
    return "no allowed signer made the signature"


def signature_emptied(bundle, keys):  # noqa: ARG001
    (bundle / "manifest.json.sig").write_bytes(b"")
    return "not signed"


def signature_too_large(bundle, keys):  # noqa: ARG001
    (bundle / "manifest.json.sig").write_bytes(b"x" * 2**15)
    return "bytes"


SIGNATURES = [
    unsigned,
    strangers_key,
    revoked_key,
    another_purpose,
    of_another_release,
    manifest_edited,
    file_and_manifest_edited,
    signature_flipped,
    signature_cut,
    signature_emptied,
    signature_too_large,
]


@pytest.mark.parametrize("tamper", SIGNATURES)
def test_a_signature_that_does_not_hold_is_refused(bundle, keys, tamper):
    words = tamper(bundle, keys)
    with pytest.raises(BundleError, match=words):
        check(bundle, keys)


@pytest.mark.parametrize("at", range(80, 280, 25))
def test_every_flip_of_a_signature_is_refused(bundle, keys, at):
    flip(bundle / "manifest.json.sig", at)
    with pytest.raises(BundleError):
        check(bundle, keys)


# bundles that are wrong whoever signed them


def file_flipped(bundle, keys):  # noqa: ARG001
    flip(bundle / "onnx/model.onnx", 5)
    return "onnx/model.onnx has SHA-256"


def file_missing(bundle, keys):  # noqa: ARG001
    (bundle / "config.json").unlink()
    return "missing: config.json"


def file_extra(bundle, keys):  # noqa: ARG001
    (bundle / "extra.json").write_bytes(b"")
    return "extra: extra.json"


def file_of_another_release(bundle, keys):  # noqa: ARG001
    shutil.copyfile(tiny(bundle.parent / "other", 1) / "onnx/model.onnx", bundle / "onnx/model.onnx")
    return "onnx/model.onnx has SHA-256"


def file_a_link(bundle, keys):  # noqa: ARG001
    (bundle / "config.json").rename(bundle.parent / "config.json")
    (bundle / "config.json").symlink_to(bundle.parent / "config.json")
    return "not a plain file: config.json"


def signed(field):
    """A field of the manifest edited, and the manifest signed again, as by an owner who was careless."""

    def tamper(bundle, keys):
        words = field(bundle)
        keygen("-Y", "sign", "-n", NAMESPACE, "-f", keys / "owner", bundle / "manifest.json", input=b"y\n")
        return words

    tamper.__name__ = field.__name__
    return tamper


def path_upwards(bundle):
    edit(bundle, files=[{"path": "../config.json", "size_bytes": 2, "sha256": hashlib.sha256(b"{}").hexdigest()}])
    return "is not allowed in a bundle"


def path_absolute(bundle):
    edit(bundle, files=[{"path": "/etc/passwd", "size_bytes": 2, "sha256": hashlib.sha256(b"{}").hexdigest()}])
    return "is not allowed in a bundle"


def path_twice(bundle):
    tree = json.loads((bundle / "manifest.json").read_text())
    edit(bundle, files=[*tree["files"], {**tree["files"][0], "path": "Config.json"}])
    return "twice"


def size_negative(bundle):
    tree = json.loads((bundle / "manifest.json").read_text())
    edit(bundle, files=[{**tree["files"][0], "size_bytes": -1}])
    return r"\$\.files\[.*\]\.size_bytes"


def size_too_large(bundle):
    tree = json.loads((bundle / "manifest.json").read_text())
    edit(bundle, files=[{**tree["files"][0], "size_bytes": 2**40}])
    return "the manifest says 1099511627776|MB of disk"


def version_a_bool(bundle):
    edit(bundle, version=True)
    return "version"


def schema_newer(bundle):
    edit(bundle, schema=2)
    return "manifest.json has schema 2, this edgewright reads up to 1; upgrade edgewright"


def key_twice(bundle):
    text = (bundle / "manifest.json").read_text()
    (bundle / "manifest.json").write_text(text.replace('"version": 2', '"version": 2, "version": 2'))
    return "key 'version' stands twice"


def not_json(bundle):
    (bundle / "manifest.json").write_bytes(b"\xff{")
    return "not acceptable JSON"


def nested_deeply(bundle):
    (bundle / "manifest.json").write_bytes(b'{"schema": 1, "artifacts": ' + b"[" * 50_000)
    return "not acceptable JSON"


BUNDLES = [file_flipped, file_missing, file_extra, file_of_another_release, file_a_link]
MANIFESTS = [
    path_upwards,
    path_absolute,
    path_twice,
    size_negative,
    size_too_large,
    version_a_bool,
    schema_newer,
    key_twice,
    not_json,
    nested_deeply,
]


SYNTAX = [field for field in MANIFESTS if field is not size_too_large]  # which no syntax forbids: the disk is too small


@pytest.fixture(params=["empty", "installed"])
def root(request, tmp_path, keys):
    """A store with an owner's keys, empty or with version 1 active."""
    root = tmp_path / "board"
    (root / "keys").mkdir(parents=True)
    if request.param == "installed":
        flash(tiny(tmp_path / "first", 1), Here(root), checks=CHECKS)
    shutil.copyfile(keys / "signers", root / "keys/allowed_signers")
    shutil.copyfile(keys / "revoked", root / "keys/revoked")
    return root


def test_a_board_with_a_key_takes_what_is_signed(bundle, root):
    done = flash(bundle, Here(root), checks=CHECKS)
    assert (done.signer, done.version) == ("owner@example.org", 2)
    found = status(Here(root))
    assert found.signed_only
    assert found.releases[0].version == 2
    assert contents(bundle) == contents(root / "current")


@pytest.mark.parametrize("tamper", [*SIGNATURES, *BUNDLES, *map(signed, MANIFESTS)], ids=lambda t: t.__name__)
def test_a_board_with_a_key_refuses_and_nothing_changes(bundle, root, keys, tamper):
    words, before = tamper(bundle, keys), contents(root)
    with pytest.raises(BundleError, match=words):
        flash(bundle, Here(root), checks=CHECKS)
    assert contents(root) == before


class Blind:
    """A bundle that this host took without a look."""

    def __init__(self, directory):
        tree = {**json.loads((tiny(directory.parent / "seen", 2) / "manifest.json").read_text())}
        self.directory = directory
        self.manifest = manifest.decode(json.dumps(tree).encode(), manifest.Manifest, "manifest.json")


@pytest.mark.parametrize("tamper", [*SIGNATURES, *map(signed, SYNTAX)], ids=lambda t: t.__name__)
def test_the_board_does_not_trust_the_hosts_own_look(bundle, root, keys, tamper, monkeypatch):
    from edgewright.boards import flash as flashing

    words, before = tamper(bundle, keys), contents(root)
    data = [
        (bundle / name).read_bytes() if (bundle / name).exists() else b""
        for name in ("manifest.json", "manifest.json.sig")
    ]
    package = flashing._Package(Blind(bundle), *data)
    monkeypatch.setattr(flashing._Package, "read", lambda _: package)
    monkeypatch.setattr(flashing.Bundle, "open", lambda _: package.bundle)
    with pytest.raises(EdgewrightError, match=words):
        flash(bundle, Here(root), checks=CHECKS)
    assert contents(root) == before


def test_a_board_without_ssh_keygen_refuses(bundle, root, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    before = contents(root)
    with pytest.raises(EdgewrightError, match=r"ssh-keygen is not installed; run: apt install openssh-client"):
        flash(bundle, Here(root), checks=CHECKS)
    assert contents(root) == before


def test_a_file_that_changes_on_the_way_is_not_activated(bundle, root):
    class Changing(Local):
        def _push(self, here, there):
            super()._push(here, there)
            flip(there_path := type(here)(there), -1)
            assert there_path.stat().st_size == here.stat().st_size

    board = Here(root)
    board.way = Changing()
    with pytest.raises(
        EdgewrightError, match=r"did not arrive whole: .* bytes were sent, .* bytes with another hash came"
    ):
        flash(bundle, board, checks=CHECKS)
    active = status(Here(root)).releases
    assert [row.version for row in active if row.role == "active"] == [1][: len(active)]
    assert flash(bundle, Here(root), checks=CHECKS).changed


@pytest.mark.parametrize("name", ["manifest.json", "manifest.json.sig"])
def test_what_is_too_large_to_be_read_is_not_cut(bundle, keys, name):
    most = {"manifest.json": 2**24, "manifest.json.sig": 2**14}[name]
    with (bundle / name).open("ab") as file:
        file.truncate(most + 5)
    with pytest.raises(BundleError, match=f"{name} has {most + 5} bytes, at most {most} are read"):
        check(bundle, keys)


@pytest.fixture
def versions(tmp_path, keys):
    """Bundles of three versions, signed by the owner, the first one by a key that may be revoked."""
    every = {number: tiny(tmp_path / f"v{number}", number) for number in (1, 2, 3)}
    for number, directory in every.items():
        sign(directory, keys / ("old" if number == 1 else "owner"))
    return every


@pytest.fixture
def owned(tmp_path, keys):
    """A store with an owner's keys, none of them revoked."""
    root = tmp_path / "owned"
    (root / "keys").mkdir(parents=True)
    shutil.copyfile(keys / "signers", root / "keys/allowed_signers")
    return root


@pytest.mark.parametrize("then", ["nothing", "damage", "uninstall", "rollback"])
def test_the_sender_of_an_older_version_cannot_allow_it_by_himself(owned, versions, then):
    board = Here(owned)
    for number in (2, 3):
        flash(versions[number], board, checks=CHECKS)
    if then == "damage":
        flip(owned / "current/manifest.json", 5)
    if then == "uninstall":
        uninstall(board)
    if then == "rollback":
        rollback(board, checks=CHECKS)
    assert status(board).newest == 3
    words = (
        r"the bundle has version 1, .*version 3.*; the board's owner alone allows that, there: echo 1 > .*/keys/oldest"
    )
    with pytest.raises(BundleError, match=words):
        flash(versions[1], board, checks=CHECKS, allow_downgrade=True)
    (owned / "keys/oldest").write_text("2\n")
    with pytest.raises(BundleError, match="owner alone"):
        flash(versions[1], board, checks=CHECKS)
    (owned / "keys/oldest").write_text("1\n")
    assert flash(versions[1], board, checks=CHECKS).version == 1
    assert status(board).newest == 3


def test_a_release_of_a_key_that_was_revoked_since_is_not_gone_back_to(owned, versions, keys):
    board = Here(owned)
    for number in (1, 2):
        flash(versions[number], board, checks=CHECKS)
    shutil.copyfile(keys / "revoked", owned / "keys/revoked")
    before = status(board).current
    with pytest.raises(BundleError, match=r"may not be active: the signature of old@example\.org does not hold"):
        rollback(board, checks=CHECKS)
    assert status(board).current == before
    (owned / "keys/revoked").unlink()
    assert rollback(board, checks=CHECKS).before == before


@pytest.fixture
def full(tmp_path):
    """A file system of 2 MiB."""
    place = tmp_path / "full"
    place.mkdir()
    argv = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
    done = subprocess.run(argv, capture_output=True, check=False, text=True)
    if done.returncode:
        pytest.skip(f"cannot mount a small file system: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.slow
def test_a_full_disk_goes_back_though_temporary_files_lie_on_it_too(full, versions, owned, monkeypatch):
    """A real file system, a real Python that answers, signatures that are checked, and checks that write."""
    root = full / "board"
    shutil.copytree(owned, root)
    (full / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(full / "tmp"))
    written = "import tempfile; file = tempfile.TemporaryFile(); file.write(bytes(5000)); file.flush(); print('{}')"
    writes = (sys.executable, "-c", written)
    checks = Checks.programs((), writes, writes)
    for number in (1, 2):
        flash(versions[number], Local(), root=str(root), checks=checks)
    with (full / "fill").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    assert not shutil.disk_usage(full).free
    assert rollback(Local(), root=str(root), checks=checks).active.startswith("000001-")
    assert json.loads((root / "current/manifest.json").read_text())["version"] == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_store_of_another_user_is_left_alone(owned, versions):
    os.chown(owned, 65534, 65534)
    before = contents(owned)
    with pytest.raises(DeviceError, match=f"{owned} belongs to another user of the board; come as that user"):
        flash(versions[1], Here(owned), checks=CHECKS)
    assert contents(owned) == before


# whom a bundle is for


@pytest.fixture
def here(monkeypatch):
    """This machine as a board of a model and an architecture of the test's choice."""
    from edgewright.devices._onboard.machine import RealMachine

    facts = {"model": "Raspberry Pi 4 Model B Rev 1.4", "product": "", "architecture": "aarch64"}
    monkeypatch.setattr(RealMachine, "facts", lambda _: facts)
    return facts


def taken(bundle, root, keys, **target):
    sign(bundle, keys / "owner", target=manifest.Target(**target))
    return flash(bundle, Here(root), checks=CHECKS)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    "target",
    [
        {"models": ("Raspberry Pi 4 Model B*",), "architectures": ("aarch64",)},
        {"models": ("Jetson*", "Raspberry Pi 4*")},
        {"architectures": ("armv7l", "aarch64")},
        {},
    ],
)
def test_a_bundle_for_this_board_is_taken(bundle, root, keys, target):
    assert taken(bundle, root, keys, **target).changed


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("target", "words"),
    [
        ({"models": ("Raspberry Pi 5*",)}, r"is for Raspberry Pi 5\*, this board is a Raspberry Pi 4 Model B Rev 1\.4"),
        ({"architectures": ("x86_64",)}, "is for x86_64, this board is aarch64"),
        ({"models": ("Raspberry*",), "architectures": ("armv7l",)}, "is for armv7l, this board is aarch64"),
        ({"fleets": ("kitchen",)}, r"is for the fleet kitchen, this board is of none; its owner says so there: echo"),
    ],
)
def test_a_bundle_for_other_boards_is_refused_and_nothing_changes(bundle, root, keys, target, words):
    before = contents(root)
    with pytest.raises(BundleError, match=words):
        taken(bundle, root, keys, **target)
    assert contents(root) == before


@pytest.mark.slow
def test_a_board_of_a_fleet_takes_what_is_signed_for_it_alone(bundle, owned, keys):
    (owned / "keys/fleet").write_text("kitchen cellar\n")
    sign(bundle, keys / "owner")
    with pytest.raises(BundleError, match="this board is of the fleet cellar, kitchen, the bundle is for none"):
        flash(bundle, Here(owned), checks=CHECKS)
    with pytest.raises(BundleError, match="the bundle is for attic"):
        taken(bundle, owned, keys, fleets=("attic",))
    assert taken(bundle, owned, keys, fleets=("attic", "cellar")).changed
    assert status(Here(owned)).fleets == ("cellar", "kitchen")
    (owned / "keys/fleet").write_text("attic2")
    with pytest.raises(BundleError, match="attic2"):
        flash(bundle, Here(owned), checks=CHECKS)


def test_a_target_stands_in_what_is_signed(bundle, keys):
    sign(bundle, keys / "owner", target=manifest.Target(fleets=("kitchen",)))
    text = (bundle / "manifest.json").read_text()
    (bundle / "manifest.json").write_text(text.replace('"kitchen"', '"cellar"'))
    with pytest.raises(BundleError, match="does not hold"):
        check(bundle, keys)


def test_a_target_of_a_later_edgewright_is_not_overlooked(bundle, root, keys):
    def field(bundle):
        edit(bundle, target={"models": [], "architectures": [], "fleets": [], "until": None, "moons": ["full"]})

    from edgewright.devices._onboard.release import Release

    signed(field)(bundle, keys)
    with pytest.raises(BundleError, match=r"\$\.target"):
        flash(bundle, Here(root), checks=CHECKS)
    with pytest.raises(BundleError, match="a target that is not understood"):
        Release.read((bundle / "manifest.json").read_bytes(), b"")


# a root of keys


@pytest.fixture
def rooted(tmp_path, keys):
    """A store whose owner put a root of keys there: the owner's and the old one's, of which one has to sign."""
    root = tmp_path / "rooted"
    (root / "keys").mkdir(parents=True)
    both = {f"{name}@example.org": keys / f"{name}.pub" for name in ("owner", "old")}
    rotate(tmp_path / "keys.json", [keys / "owner"], add=both)
    shutil.copyfile(tmp_path / "keys.json", root / "keys/root.json")
    return root


def test_a_root_of_keys_is_asked_for_a_signature_as_a_file_of_signers_is(bundle, rooted, keys, tmp_path):
    assert flash(bundle, Here(rooted), checks=CHECKS).signer == "owner@example.org"
    assert check_signature(bundle, tmp_path / "keys.json") == "owner@example.org"
    sign(bundle, keys / "stranger")
    with pytest.raises(BundleError, match="no allowed signer"):
        flash(bundle, Here(rooted), checks=CHECKS)
    found = status(Here(rooted))
    assert (found.signed_only, found.keys, found.chain.problem) == (True, 1, "")


def test_of_two_signatures_one_is_not_enough(bundle, rooted, keys, tmp_path):
    rotate(tmp_path / "keys.json", [keys / "owner", keys / "old"], threshold=2)
    assert rekey(Here(rooted), tmp_path / "keys.json").threshold == 2
    before = contents(rooted)
    for _ in range(2):
        with pytest.raises(BundleError, match=r"2 keys have to sign, 1 did: owner@example.org; let another one sign"):
            flash(bundle, Here(rooted), checks=CHECKS)
        sign(bundle, keys / "owner", add=True)
    one = (bundle / "manifest.json.sig").read_bytes()
    (bundle / "manifest.json.sig").write_bytes(one + one)  # a signature twice is one
    with pytest.raises(BundleError, match="2 keys have to sign, 1 did"):
        flash(bundle, Here(rooted), checks=CHECKS)
    (bundle / "manifest.json.sig").write_bytes(one)
    sign(bundle, keys / "stranger", add=True)
    with pytest.raises(BundleError, match="no allowed signer made the signature"):
        flash(bundle, Here(rooted), checks=CHECKS)
    assert contents(rooted) == before
    sign(bundle, keys / "old", add=True)
    assert flash(bundle, Here(rooted), checks=CHECKS).signer == "owner@example.org, old@example.org"


def test_a_signature_too_many_is_refused(bundle, keys):
    path = bundle / "manifest.json.sig"
    path.write_bytes(path.read_bytes() * 17)
    with pytest.raises(BundleError, match="there are 17 signatures, at most 16 are read"):
        check(bundle, keys)


def test_another_target_is_not_signed_beside(bundle, keys):
    with pytest.raises(UsageError, match="the others signed another target; leave out --add"):
        sign(bundle, keys / "old", target=manifest.Target(fleets=("a",)), add=True)
    assert check(bundle, keys) == "owner@example.org"


def test_the_next_root_comes_to_a_board_and_what_its_keys_did_not_sign_is_not_gone_back_to(
    rooted, versions, keys, tmp_path
):
    board, file = Here(rooted), tmp_path / "keys.json"
    for number in (1, 2):
        flash(versions[number], board, checks=CHECKS)
    rotate(file, [keys / "owner"], remove=["old@example.org"])
    done = rekey(board, file)
    assert (done.before, done.now, done.names) == (1, 2, ("owner@example.org",))
    assert done.refused == (status(board).previous,)
    with pytest.raises(BundleError, match=r"may not be active: no allowed signer made the signature"):
        rollback(board, checks=CHECKS)
    assert rekey(board, file).before == 2
    assert [event.what for event in status(board).journal].count("keys") == 1


def forged_rotation(rooted, keys, file):  # noqa: ARG001
    rotate(file, [keys / "stranger"], add={"stranger@example.org": keys / "stranger.pub"})
    return BundleError, "root 2 is not signed as root 1 asks for: no allowed signer"


def older_root(rooted, keys, file):
    old = file.read_bytes()
    rotate(file, [keys / "owner"])
    rekey(Here(rooted), file)
    file.write_bytes(old)
    return BundleError, "here is version 2; versions never go down"


def steps_left_out(rooted, keys, file):  # noqa: ARG001
    for _ in range(2):
        rotate(file, [keys / "owner"])
    tree = json.loads(file.read_text())
    file.write_text(json.dumps({**tree, "roots": tree["roots"][2:]}))
    return BundleError, "root 3 was sent, 1 is known here"


def revoked_root_key(rooted, keys, file):
    rotate(file, [keys / "old"])
    shutil.copyfile(keys / "revoked", rooted / "keys/revoked")
    return BundleError, "the signature of old@example.org does not hold"


def two_files_of_keys(rooted, keys, file):
    rotate(file, [keys / "owner"])
    shutil.copyfile(keys / "signers", rooted / "keys/allowed_signers")
    return DeviceError, "has both root.json and allowed_signers"


def none_there(rooted, keys, file):  # noqa: ARG001
    (rooted / "keys/root.json").unlink()
    return DeviceError, "has no root of keys; its owner puts the first one there"


def others_may_write(rooted, keys, file):  # noqa: ARG001
    (rooted / "keys/root.json").chmod(0o666)
    return DeviceError, "may be written by other users"


def garbage_there(rooted, keys, file):  # noqa: ARG001
    (rooted / "keys/root.json").write_text("{}")
    return BundleError, "is no file of roots of keys"


ROTATIONS = [
    forged_rotation,
    older_root,
    steps_left_out,
    revoked_root_key,
    two_files_of_keys,
    none_there,
    others_may_write,
    garbage_there,
]


SOME = [*ROTATIONS[:2], *(pytest.param(attack, marks=pytest.mark.slow) for attack in ROTATIONS[2:])]
"""The others are tested in an instant each, but there are many."""


@pytest.mark.parametrize("attack", SOME, ids=lambda attack: attack.__name__)
def test_a_root_that_does_not_follow_is_refused_and_the_keys_stay(rooted, keys, tmp_path, attack):
    kind, words = attack(rooted, keys, tmp_path / "keys.json")
    before = contents(rooted / "keys")
    with pytest.raises(kind, match=words):
        rekey(Here(rooted), tmp_path / "keys.json")
    assert contents(rooted / "keys") == before


@pytest.mark.slow
def test_what_was_good_until_an_earlier_root_is_not_installed_nor_gone_back_to(rooted, versions, keys, tmp_path):
    board, file = Here(rooted), tmp_path / "keys.json"
    for number, until in ((1, 1), (2, 2)):
        sign(versions[number], keys / "owner", target=manifest.Target(until=until))
        flash(versions[number], board, checks=CHECKS)
    sign(versions[3], keys / "owner", target=manifest.Target(until=1))
    rotate(file, [keys / "owner"])
    rekey(board, file)
    with pytest.raises(BundleError, match=r"good until version 1 of the root of keys, this board has 2; sign it again"):
        flash(versions[3], board, checks=CHECKS)
    with pytest.raises(BundleError, match=r"may not be active: the bundle was good until version 1"):
        rollback(board, checks=CHECKS)
    sign(versions[3], keys / "owner", target=manifest.Target(until=2))
    assert flash(versions[3], board, checks=CHECKS).changed


def test_a_release_is_looked_at_again_when_it_is_served(rooted, versions, keys):
    """Of the store's owner, wherever the link leads; a bundle that lies elsewhere is not asked."""
    board = Here(rooted)
    flash(versions[1], board, checks=CHECKS)
    release = Bundle.open((rooted / "current").resolve())
    check_placed(release)
    check_placed(Bundle.open(versions[2]))
    shutil.copyfile(keys / "revoked", rooted / "keys/revoked")
    with pytest.raises(BundleError, match=rf"{release.directory.name} may not be served: the signature of old@"):
        check_placed(release)
    with pytest.raises(BundleError, match="may not be served"):
        open_model(rooted / "current", {})


@pytest.mark.slow
def test_the_journal_of_a_real_board_is_looked_at_by_status(owned, versions, capfd):
    flash(versions[1], Here(owned), checks=CHECKS)
    path = owned / "journal.jsonl"
    argv = [sys.executable, "-m", "edgewright", "status", "local", "--root", str(owned), "--journal"]
    assert subprocess.run(argv, check=False).returncode == 0
    assert "the journal is as it was written, to line 1" in capfd.readouterr().out
    path.write_text(path.read_text().replace("version 1", "version 7"))
    assert subprocess.run(argv, check=False).returncode == 5
    assert "the board's journal is not what was written: line 1 was altered" in capfd.readouterr().err


@pytest.mark.slow
def test_keys_are_rotated_and_sent_by_commands(rooted, keys, tmp_path, bundle, capfd):
    """Typed, as an owner would: a second key, two signatures, a target, a board that has missed a root."""

    def run(*words, code=0):
        argv = [sys.executable, "-m", "edgewright", *map(str, words)]
        assert subprocess.run(argv, check=False).returncode == code
        return capfd.readouterr()

    file, board = tmp_path / "keys.json", ("local", "--root", rooted)
    run("keys", "rotate", file, "--key", keys / "owner", "--add", f"new@example.org={keys / 'stranger.pub'}")
    two = ("--remove", "old@example.org", "--threshold", "2")
    assert "2 keys have to sign, 1 did" in run("keys", "rotate", file, "--key", keys / "owner", *two).out
    assert "2 keys have to sign, 1 did" in run("keys", "send", file, *board, code=3).err
    assert f"{file}: root 3, signed" in run("keys", "sign", file, "--key", keys / "stranger").out
    sent = run("keys", "send", file, *board).out
    assert "root 3, 1 was; 2 of 2 keys sign: new@example.org, owner@example.org" in sent
    assert "root 3, as it was before" in run("keys", "send", file, *board).out
    run("sign", bundle, "--key", keys / "owner", "--target", "board=raspberry-pi-4", "--until", "3")
    run("sign", bundle, "--key", keys / "stranger", "--add")
    assert check_signature(bundle, file) == "owner@example.org, new@example.org"
    target = manifest.decode((bundle / "manifest.json").read_bytes(), manifest.Manifest, "manifest.json").target
    assert target == manifest.Target(models=("Raspberry Pi 4 Model B*",), until=3)
    assert (
        "names no boards; give board=NAME" in run("sign", bundle, "--key", keys / "owner", "--target", "x", code=2).err
    )
    assert (
        "no profile 'raspberry'"
        in run("sign", bundle, "--key", keys / "owner", "--target", "board=raspberry", code=2).err
    )
