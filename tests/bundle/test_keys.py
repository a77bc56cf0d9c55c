"""Roots of keys, made and signed by real ssh-keygen: one follows another, and nothing else does."""

import json
import shutil
import subprocess

import pytest

from edgewright.bundle.keys import followed, read_roots, text_of, written
from edgewright.bundle.rotation import countersign, rotate, standing
from edgewright.errors import BundleError, UsageError

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")
KEY = "ssh-ed25519 " + "A" * 68


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """Private keys of four people; beside each lies the public one."""
    root = tmp_path_factory.mktemp("keys")
    for name in ("ann", "bob", "cid", "eve"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(root / name)], check=True)
    return {path.stem: path.with_suffix("") for path in root.glob("*.pub")}


def lacking(file):
    return standing(file)[1]


def public(key):
    return key.with_suffix(".pub")


@pytest.fixture
def file(tmp_path, keys):
    """Two roots: the first has Ann's key, the second Bob's, and both signed it."""
    path = tmp_path / "keys.json"
    rotate(path, [keys["ann"]], add={"ann": public(keys["ann"])})
    rotate(path, [keys["ann"], keys["bob"]], add={"bob": public(keys["bob"])}, remove=["ann"])
    return path


def test_the_next_root_is_signed_by_the_last_one_and_by_itself(file, keys):
    first, second = read_roots(file.read_bytes(), "f")
    assert (first.version, set(first.keys), second.version, set(second.keys)) == (1, {"ann"}, 2, {"bob"})
    assert followed(first, [first, second]) == second
    assert followed(second, [first, second]) == second
    assert read_roots(written([first, second]), "f") == [first, second]
    assert lacking(file) == ""
    rotate(file, [keys["ann"]])
    assert "root 3 is not signed as root 2 asks for: no allowed signer made the signature" in lacking(file)
    countersign(file, [keys["bob"]])
    assert lacking(file) == ""


def test_of_two_keys_both_have_to_sign(tmp_path, keys):
    path, names = tmp_path / "keys.json", ("ann", "bob", "cid")
    rotate(path, [keys["ann"]], add={name: public(keys[name]) for name in names}, threshold=2)
    assert "2 keys have to sign, 1 did: ann" in lacking(path)
    countersign(path, [keys["ann"]])
    assert "2 keys have to sign, 1 did: ann" in lacking(path), "a key that signs twice is one key"
    with pytest.raises(BundleError, match="1 did"):
        rotate(path, [keys["bob"]])
    countersign(path, [keys["cid"]])
    assert lacking(path) == ""
    rotate(path, [keys["bob"], keys["cid"]], remove=["ann"])
    assert lacking(path) == ""
    assert read_roots(path.read_bytes(), "f")[-1].threshold == 2


def forged_key(roots, keys):
    """Eve replaces the key of the second root, and signs it."""
    text = text_of(2, 1, {"bob": " ".join(public(keys["eve"]).read_text().split()[:2])})
    return [roots[0], roots[1]._replace(text=text)], "does not hold|no allowed signer"


def forged_by_itself(roots, keys):
    from edgewright.bundle.keys import NAMESPACE, Root
    from edgewright.bundle.signing import signed_by

    text = text_of(2, 1, {"eve": " ".join(public(keys["eve"]).read_text().split()[:2])})
    made = signed_by(keys["eve"], text.encode(), NAMESPACE).decode()
    return [roots[0], Root.of(text, made, "f")], "root 2 is not signed as root 1 asks for: no allowed signer"


def of_a_bundle(roots, keys):
    from edgewright.bundle.signing import signed_by

    made = signed_by(keys["ann"], roots[1].text.encode(), "edgewright-bundle").decode()
    return [roots[0], roots[1]._replace(signatures=made)], "the signature of ann does not hold"


def by_the_old_one_alone(roots, keys):
    from edgewright.bundle.keys import NAMESPACE
    from edgewright.bundle.signing import signed_by

    made = signed_by(keys["ann"], roots[1].text.encode(), NAMESPACE).decode()
    return [roots[0], roots[1]._replace(signatures=made)], "root 2 is not signed as root 2 asks for"


def threshold_lowered(roots, keys):  # noqa: ARG001
    tree = json.loads(roots[1].text) | {"threshold": 1, "keys": {**roots[1].keys, "eve": KEY}}
    return [roots[0], roots[1]._replace(text=json.dumps(tree))], "does not hold"


def a_step_left_out(roots, keys):  # noqa: ARG001
    third = roots[1]._replace(version=3, text=text_of(3, 1, roots[1].keys))
    return [third], "root 3 was sent, 1 is known here, and none between them; send the file with all of them"


def another_first_one(roots, keys):  # noqa: ARG001
    return [roots[0]._replace(text=roots[0].text + " "), roots[1]], "another root of version 1 is known here"


FORGED = [
    forged_key,
    forged_by_itself,
    of_a_bundle,
    by_the_old_one_alone,
    threshold_lowered,
    a_step_left_out,
    another_first_one,
]


@pytest.mark.parametrize("forge", FORGED, ids=lambda forge: forge.__name__)
def test_a_forged_rotation_is_refused(file, keys, forge):
    roots = read_roots(file.read_bytes(), "f")
    sent, words = forge(roots, keys)
    with pytest.raises(BundleError, match=words):
        followed(roots[0], sent)


def test_an_older_root_does_not_come_back(file):
    first, second = read_roots(file.read_bytes(), "f")
    with pytest.raises(BundleError, match=r"sent has version 1, here is version 2; versions never go down"):
        followed(second, [first])


def test_a_revoked_key_hands_nothing_over(file, keys):
    roots = read_roots(file.read_bytes(), "f")
    with pytest.raises(BundleError, match="the signature of ann does not hold"):
        followed(roots[0], roots, public(keys["ann"]).read_bytes())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (text_of(1, 1, {}), "from 1 to 64 keys"),
        (text_of(0, 1, {"a": KEY}), "version 0"),
        (text_of(1.5, 1, {"a": KEY}), "version 1.5"),
        (text_of(1, 2, {"a": KEY}), "threshold 2"),
        (text_of(1, 0, {"a": KEY}), "threshold 0"),
        (text_of(1, 1, {"a": KEY, "b": KEY}), "under two names"),
        (text_of(1, 1, {"*": KEY}), "'\\*' is no name"),
        (text_of(1, 1, {"a\nb": KEY}), "is no name"),
        (text_of(1, 1, {"a": "cert-authority ssh-ed25519 AAAA"}), "has no public key"),
        (text_of(1, 1, {"a": KEY + "\neve " + KEY}), "has no public key"),
        ('{"version": 1, "version": 1, "threshold": 1, "keys": {}}', "stands twice"),
        ('{"version": 1, "threshold": 1, "keys": {}, "more": 1}', "and nothing else"),
        ("[]", "and nothing else"),
    ],
)
def test_what_is_no_root_is_refused(text, words):
    data = json.dumps({"schema": 1, "roots": [{"root": text, "signatures": ""}]}).encode()
    with pytest.raises(BundleError, match=words):
        read_roots(data, "f")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"ann ssh-ed25519 AAAA", "not acceptable JSON"),
        (b'{"schema": 2, "roots": []}', "upgrade edgewright"),
        (b'{"schema": 1, "roots": []}', "no file of roots"),
        (b'{"schema": 1, "roots": [1]}', "expected a root"),
        (b" " * (2**20 + 1), "at most 1048576 are read"),
    ],
)
def test_what_is_no_file_of_roots_is_refused(data, words):
    with pytest.raises(BundleError, match=words):
        read_roots(data, "f")


def test_the_versions_of_a_file_are_one_after_the_other(file):
    roots = read_roots(file.read_bytes(), "f")
    with pytest.raises(BundleError, match=r"holds the versions 2, 1, which are not one after the other"):
        read_roots(written(roots[::-1]), "f")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"remove": ["ann"]}, "has no key of ann; it has keys of bob"),
        ({"add": {"bob": "eve"}}, "has a key of bob already; give --remove bob too"),
        ({"remove": ["bob"]}, "lets nobody sign"),
        ({"threshold": 2}, "threshold 2 is no whole number from 1 to 1"),
        ({"add": {"a b": "eve"}}, "'a b' is no name"),
        ({"add": {"new": "gone"}}, "there is no public key"),
    ],
)
def test_a_rotation_that_cannot_be_changes_nothing(file, keys, given, words):
    before = file.read_bytes()
    if "add" in given:
        given = {"add": {who: public(keys.get(name, file)) for who, name in given["add"].items()}}
    with pytest.raises(UsageError, match=words):
        rotate(file, [keys["bob"]], **given)
    assert file.read_bytes() == before
