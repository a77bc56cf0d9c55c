"""Weights that open with a key: written by Python, read by Kotlin on the JVM's own ciphers."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import kotlin_programs
import pytest
from click.testing import CliRunner

import edgewright
from edgewright.cli._export.android import command
from edgewright.errors import MissingExtra, UnsupportedConversion, UsageError
from edgewright.exporting import android
from edgewright.exporting.android import export_android
from edgewright.exporting.encrypted_file import encrypt_file, key_id, read_key

pytest.importorskip("cryptography", reason="pip install 'edgewright[encrypt]'")

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))
SEGMENT = 2**20
FIRST, EACH = SEGMENT - 40 - 16, SEGMENT - 16
"""What of the weights is in the first segment, and in each other one."""
SIZES = (0, 1, FIRST - 1, FIRST, FIRST + 1, FIRST + EACH - 1, FIRST + EACH, FIRST + EACH + 1, FIRST + EACH + 999)
TINK = bytes.fromhex(
    "2812bf9c764a82ffb28fa2589efb488bfc699227961d44bd949385aa9d5aa81537f4aed4870d0900c5e300b36c7469f8065271af9c3f28d6"
    "b609bd94b9b8112463f0ed01d566da6c7becd78d1d97f343d065709170f7bd27ba70fd696c2f63"
)
"""What tink 1.16.1 (PyPI) made of the next line by KEY, "model.onnx" as associated data."""
TINK_SAID = b"weights of a model, one segment of them"


def weights(size):
    return hashlib.shake_256(b"weights").digest(size)


def by_the_format(data, *, key=KEY, name="model.onnx", salt=bytes(32), prefix=bytes(7)):
    """A file as developers.google.com/tink/streaming-aead/aes_gcm_hkdf_streaming has it, whoever writes it."""
    cipher = AESGCM(HKDF(hashes.SHA256(), 32, salt, name.encode()).derive(key))
    parts = [data[:FIRST], *(data[at : at + EACH] for at in range(FIRST, len(data), EACH))]
    nonces = [prefix + number.to_bytes(4, "big") + bytes([part is parts[-1]]) for number, part in enumerate(parts)]
    sealed = [cipher.encrypt(nonce, part, b"") for nonce, part in zip(nonces, parts, strict=True)]
    return b"".join([bytes([40]) + salt + prefix, *sealed])


def opened(data, *, key=KEY, name="model.onnx"):
    """What such a file holds. Raises InvalidTag."""
    assert data[0] == 40
    cipher = AESGCM(HKDF(hashes.SHA256(), 32, data[1:33], name.encode()).derive(key))
    begins = range(0, len(data), SEGMENT)
    found = []
    for number, begin in enumerate(begins):
        nonce = data[33:40] + number.to_bytes(4, "big") + bytes([number == len(begins) - 1])
        found.append(cipher.decrypt(nonce, data[begin or 40 : begin + SEGMENT], b""))
    return b"".join(found)


@pytest.mark.parametrize("size", SIZES)
def test_a_file_opens_as_its_format_says(size, tmp_path):
    path, data = tmp_path / "model.onnx", weights(size)
    path.write_bytes(data)
    encrypt_file(path, KEY)
    made = path.read_bytes()
    assert opened(made) == data
    assert made == by_the_format(data, salt=made[1:33], prefix=made[33:40])
    assert [one.name for one in tmp_path.iterdir()] == ["model.onnx"]


def test_a_file_is_another_one_each_time_and_opens_with_its_key_and_name_alone(tmp_path):
    path = tmp_path / "model.onnx"
    made = []
    for _ in range(2):
        path.write_bytes(TINK_SAID)
        encrypt_file(path, KEY)
        made.append(path.read_bytes())
    assert made[0][1:33] != made[1][1:33]
    assert made[0][33:40] != made[1][33:40]
    for wrong in ({"key": OTHER}, {"name": "encoder.onnx"}):
        with pytest.raises(InvalidTag):
            opened(made[0], **wrong)


def test_what_holds_files_to_their_format_opens_tinks():
    assert opened(TINK) == TINK_SAID
    assert by_the_format(TINK_SAID, salt=TINK[1:33], prefix=TINK[33:40]) == TINK


def test_a_key_is_a_file_of_32_bytes_that_nobody_else_reads(tmp_path):
    path = tmp_path / "key"
    with pytest.raises(UsageError, match=f"cannot read the key {path}: No such file"):
        read_key(path)
    with pytest.raises(UsageError, match="the key's file has no name"):
        read_key("")
    with pytest.raises(UsageError, match=r"cannot read the key .*: Is a directory"):
        read_key(tmp_path)
    path.touch(0o600)
    for size, words in ((0, "0 bytes"), (31, "31 bytes"), (33, "more than 32 bytes"), (64, "more than 32 bytes")):
        path.write_bytes(bytes(size))
        with pytest.raises(UsageError, match=f"{path} has {words}, a key has 32"):
            read_key(path)
    path.write_bytes(KEY)
    assert read_key(path) == KEY
    for mode in (0o640, 0o604, 0o620):
        path.chmod(mode)
        with pytest.raises(UsageError, match=f"others may read the key {path}: its mode is {mode:o}, not 600"):
            read_key(path)


def test_a_key_comes_through_a_descriptor():
    read, write = os.pipe()
    try:
        os.write(write, KEY)
        os.close(write)
        assert read_key(f"/dev/fd/{read}") == KEY
    finally:
        os.close(read)


def test_a_keys_name_is_what_sha256sum_says():
    assert key_id(KEY) == "630dcd2966c43366"  # head -c 16 of: sha256sum KEY


def test_without_its_package_nothing_is_encrypted(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography", None)
    path = tmp_path / "model.onnx"
    path.write_bytes(b"weights")
    with pytest.raises(MissingExtra, match=r"cryptography is not installed; run: pip install .*\[encrypt\]"):
        encrypt_file(path, KEY)
    assert path.read_bytes() == b"weights"


def test_what_an_engine_opens_by_itself_is_refused(bundle_dir, make_artifact, tmp_path):
    from edgewright.bundle.bundle import Bundle

    bundle = Bundle.of(bundle_dir)
    with pytest.raises(UnsupportedConversion, match=r"model\.pte cannot be encrypted: its engine opens the weights"):
        android._key(bundle, make_artifact(path="executorch/model.pte", format="executorch"), key_file(tmp_path))
    with pytest.raises(UsageError, match="others may read the key"):
        export_android(bundle, out=tmp_path / "app", encrypt=bundle_dir / "config.json")
    assert not (tmp_path / "app").exists()


def key_file(tmp_path, key=KEY):
    path = tmp_path / f"{key_id(key)}.key"
    path.touch(0o600)
    path.write_bytes(key)
    return path


def runtimes():
    """The JDKs of this machine."""
    return sorted({path.resolve() for path in Path("/usr/lib/jvm").glob("*/bin/java")})


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """The tests' Kotlin, in a Turkish locale, on each JDK."""
    if why := kotlin_programs.missing():
        pytest.skip(why)
    place, turkish = tmp_path_factory.mktemp("kotlin"), ("-Duser.language=tr", "-Duser.country=TR")
    return [
        kotlin_programs.program(place / f"{at}", "Decrypting", java=str(java), ways=turkish)
        for at, java in enumerate(runtimes())
    ]


def said(program, *words):
    done = subprocess.run([program, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.slow
def test_kotlin_opens_whole_files_and_no_other_ones(programs, tmp_path):
    data = weights(SIZES[-1])
    whole, last = by_the_format(data, salt=TINK[1:33], prefix=TINK[33:40]), 2 * SEGMENT
    swapped = whole[:SEGMENT] + whole[last:] + whole[SEGMENT:last]
    again = by_the_format(data)
    good = {f"{size}": weights(size) for size in SIZES}
    no_head, cut = "it has no head of an encrypted file", "or the file was cut"
    bad = {
        "salt": (flipped(whole, 1), f"segment 1 of 3 is another one, {cut}"),
        "prefix": (flipped(whole, 39), f"segment 1 of 3 is another one, {cut}"),
        "first": (flipped(whole, 40), f"segment 1 of 3 is another one, {cut}"),
        "first tag": (flipped(whole, SEGMENT - 1), f"segment 1 of 3 is another one, {cut}"),
        "second": (flipped(whole, SEGMENT), f"segment 2 of 3 is another one, {cut}"),
        "last": (flipped(whole, last + 3), f"segment 3 of 3 is another one, {cut}"),
        "last tag": (flipped(whole, len(whole) - 1), f"segment 3 of 3 is another one, {cut}"),
        "a byte less": (whole[:-1], f"segment 3 of 3 is another one, {cut}"),
        "a byte more": (whole + b"\0", f"segment 3 of 3 is another one, {cut}"),
        "cut at a border": (whole[:last], f"segment 2 of 2 is another one, {cut}"),
        "cut at the first border": (whole[:SEGMENT], f"segment 1 of 1 is another one, {cut}"),
        "cut behind a border": (whole[: last + 15], f"it was cut, the last of its {last + 15} bytes are no segment"),
        "cut in the first": (whole[:1000], f"segment 1 of 1 is another one, {cut}"),
        "cut to its head": (whole[:40], no_head),
        "segments swapped": (swapped, f"segment 2 of 3 is another one, {cut}"),
        "a segment twice": (whole[:last] + whole[SEGMENT:], f"segment 3 of 4 is another one, {cut}"),
        "a segment less": (whole[:SEGMENT] + whole[last:], f"segment 2 of 2 is another one, {cut}"),
        "another file's end": (whole[:last] + again[last:], f"segment 3 of 3 is another one, {cut}"),
        "another name": (by_the_format(TINK_SAID, name="encoder.onnx"), f"segment 1 of 1 is another one, {cut}"),
        "another key": (by_the_format(TINK_SAID, key=OTHER), f"segment 1 of 1 is another one, {cut}"),
        "another head": (b"\x29" + TINK[1:], no_head),
        "not encrypted": (data, no_head),
        "nothing": (b"", no_head),
    }
    for name, content in {**{name: by_the_format(one) for name, one in good.items()}, "tink": TINK}.items():
        (tmp_path / name).write_bytes(content)
    for name, (content, _) in bad.items():
        (tmp_path / name).write_bytes(content)
    files = [tmp_path / name for name in (*good, "tink", *bad)]
    for program in programs:
        found = said(program, "files", key_file(tmp_path), *files)
        assert found[: len(good) + 1] == [hashlib.sha256(one).hexdigest() for one in (*good.values(), TINK_SAID)]
        why = [f"ALTERED: model.onnx is not what was exported: {words}" for _, words in bad.values()]
        assert dict(zip(bad, found[len(good) + 1 :], strict=True)) == dict(zip(bad, why, strict=True))


@pytest.mark.slow
def test_weights_for_which_there_is_no_room_are_told(programs, tmp_path):
    little = tmp_path / "little"
    little.write_text(programs[0].read_text().replace(" -cp ", " -XX:MaxDirectMemorySize=1m -cp ", 1))
    little.chmod(0o755)
    path = tmp_path / "model.onnx"
    path.write_bytes(by_the_format(weights(2**21)))
    room = 'android:largeHeap="true" in the app\'s manifest gives more'
    assert said(little, "files", key_file(tmp_path), path) == [
        f"MEMORY: there is no room for the {2**21} bytes of model.onnx; {room}"
    ]


@pytest.fixture(scope="module")
def app(made, tmp_path_factory):
    """A bundle, and the assets of its encrypted export."""
    place = tmp_path_factory.mktemp("app")
    bundle = made("bert", "text-classification", ("good", "bad")) / "bundle"
    asked = [str(bundle), "--out", str(place / "app"), "--encrypt", str(key_file(place)), "-q"]
    done = CliRunner().invoke(command, asked, catch_exceptions=False)
    assert done.exit_code == 0
    return bundle, place / "app" / android._ASSETS


@pytest.mark.slow
def test_an_encrypted_model_answers_as_python_does(app, programs, tmp_path):
    bundle, assets = app
    assert opened((assets / "model.onnx").read_bytes()) == next((bundle / "onnx").rglob("*.onnx")).read_bytes()
    with edgewright.load(bundle, careful=False) as pipeline:
        (wanted,) = pipeline("a charming journey")
    for program in programs:
        locked, found = said(program, "model", key_file(tmp_path), assets, "a charming journey")
        hint = "openEncrypted opens it, in a library that was exported with --encrypt"
        assert locked == f"KEY: model.onnx is encrypted: {hint}"
        cases, label, score = found.split()
        assert int(cases) > 3
        assert (label, abs(float(score) - wanted["score"]) < 2e-6) == (wanted["label"], True)


@pytest.mark.slow
def test_a_key_is_asked_for_once(app, programs, tmp_path):
    for at, program in enumerate(programs):
        scratch = tmp_path / f"{at}"
        scratch.mkdir()
        keys = (key_file(tmp_path), key_file(tmp_path, OTHER))
        found = dict(line.split(" | ") for line in said(program, "kept", *keys, app[1], scratch))
        mine, none = f"true [{key_id(KEY)}]", "true []"
        other = f"KEY: the key {key_id(OTHER)} is not that of model.onnx, which is {key_id(KEY)}"
        assert found == {
            "another key at first": other,
            "a refused key is kept": "false",
            "first": mine,
            "kept in the clear": "false",
            "second": none,
            "third, as another process": none,
            "altered": mine,
            "cut": mine,
            "a store that lost its key": mine,
            "and then": none,
            "a store whose key is broken": mine,
            "and behind that": none,
            "a store that never works": mine,
            "nor later": mine,
            "another model's key is kept": mine,
            "nothing can be written": mine,
            "left over": "1",
            "no server": "no network",
        }


@pytest.mark.slow
def test_what_an_app_is_given_wrongly_is_told(app, programs, tmp_path):
    def told(assets, key=KEY):
        return said(programs[0], "model", key_file(tmp_path, key), assets, "")[1]

    other = f"KEY: the key {key_id(OTHER)} is not that of model.onnx, which is {key_id(KEY)}"
    assert told(app[1], OTHER) == other
    assert told(app[1], KEY[:16]) == "KEY: the key of model.onnx has 16 bytes, not 32"
    assert told(app[1], b"") == "KEY: the key of model.onnx has 0 bytes, not 32"
    settings = (app[1] / "model.txt").read_text()
    changed = {
        "newer": settings.replace("AES256_GCM_HKDF_1MB", "AES256_GCM_HKDF_4MB"),
        "none": settings.replace("encrypted model.onnx\n", ""),
        "nameless": settings.replace(f"key {key_id(KEY)}\n", ""),
    }
    found = {}
    for name, text in changed.items():
        (tmp_path / name).mkdir()
        for path in app[1].iterdir():
            (tmp_path / name / path.name).symlink_to(path)
        (tmp_path / name / "model.txt").unlink()
        (tmp_path / name / "model.txt").write_text(text)
        found[name] = told(tmp_path / name)
    newer = "this library decrypts AES256_GCM_HKDF_1MB: take the one of the same export"
    assert found["newer"] == f"ALTERED: model.onnx is encrypted by AES256_GCM_HKDF_4MB, {newer}"
    assert found["none"] == "ARGUMENT: model.onnx is not encrypted: open opens it"
    assert found["nameless"].startswith("ALTERED: model.txt does not say its key")


@pytest.mark.slow
def test_a_decoders_weights_beside_its_graph_are_refused(talking, tmp_path):
    with pytest.raises(UnsupportedConversion, match="cannot be encrypted: its engine opens the weights by itself"):
        export_android(talking, out=tmp_path / "app", encrypt=key_file(tmp_path))


@pytest.mark.slow
def test_an_export_without_a_key_has_nothing_of_it(bundle_dir, tmp_path):
    export_android(bundle_dir, out=tmp_path / "app")
    assert not [path for path in (tmp_path / "app").rglob("*.kt") if "openEncrypted(" in path.read_text()]
    assert android.key_notes(tmp_path / "app") == []
    export_android(bundle_dir, out=tmp_path / "app", encrypt=key_file(tmp_path), force=True)
    texts = {path.name: path.read_text() for path in (tmp_path / "app").rglob("*.kt")}
    assert {"OpenEncrypted.kt", "Opened.kt"} <= {name for name, text in texts.items() if "openEncrypted(" in text}
    assert "key 630dcd2966c43366:" in android.key_notes(tmp_path / "app")[0]
