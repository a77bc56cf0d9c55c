"""Files of weights that an app opens with a key: Tink's streaming AEAD, of its template AES256_GCM_HKDF_1MB.

    FILE:    a byte 40, 32 bytes of salt, 7 of nonce prefix, and the segments
    SEGMENT: bytes encrypted by AES-256-GCM, and the tag of 16 bytes; the first ends where the file has 2**20 bytes,
             each other one but the last has as many
    KEY:     HKDF-SHA256 (RFC 5869) of the key, the salt and, as info, the file's name: another one for each file
    NONCE:   the prefix, the segment's number (uint32, big-endian), and 1 of the last one, else 0

That is the construction STREAM (Hoang, Reyhanitabar, Rogaway and Vizar, eprint 2015/189), by which no segment fits in
another one's place and none is the end of a file that was cut. Whoever has the key opens such a file with Tink
(developers.google.com/tink/streaming-aead/aes_gcm_hkdf_streaming), the name as associated data.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
import struct
from pathlib import Path

from edgewright import registry
from edgewright.errors import UsageError
from edgewright.system.files import plain

__all__ = ["CIPHER", "encrypt_file", "key_id", "need_cipher", "read_key"]

CIPHER = "AES256_GCM_HKDF_1MB"
"""As Tink names it: all of a file's parameters."""
_KEY_BYTES = 32
"""Of AES-256, and as many of salt."""
_SALT_BYTES = _KEY_BYTES
_MAKE = f"make one with: (umask 077; openssl rand -out FILE {_KEY_BYTES})"
"""What to do where a key is none."""
_PREFIX_BYTES = 7
"""What a nonce of GCM, 12 bytes, has room for beside number and end."""
_HEAD_BYTES = 1 + _SALT_BYTES + _PREFIX_BYTES
"""The first of them says how many they are."""
_TAG_BYTES = 16
"""GCM's own."""
_SEGMENT_BYTES = 2**20
"""With its tag, the head counted to the first."""
_ID_DIGITS = 16
"""A choice: an app's server tells its keys apart by them."""
_PIPE_S = 60.0
"""How long a key may take to come through a named pipe, as from a program that asks a vault."""


def read_key(path: str | Path) -> bytes:
    """A key's file.

    Raises:
        UsageError: it cannot be read, others may read it, or it has not 32 bytes.
    """
    if not str(path):
        raise UsageError("the key's file has no name", hint=_MAKE)
    try:
        with plain(Path(path), pipe_s=_PIPE_S) as file:
            mode = os.fstat(file.fileno()).st_mode
            key = file.read(_KEY_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read the key {path}: {error.strerror or error}", hint=_MAKE) from error
    if os.name == "posix" and stat.S_ISREG(mode) and mode & 0o077:
        what = f"others may read the key {path}: its mode is {stat.S_IMODE(mode):o}, not 600"
        raise UsageError(what, hint=f"chmod 600 {path}")
    if len(key) != _KEY_BYTES:
        size = f"{len(key)} bytes" if len(key) < _KEY_BYTES else f"more than {_KEY_BYTES} bytes"
        raise UsageError(f"{path} has {size}, a key has {_KEY_BYTES}", hint=_MAKE)
    return key


def key_id(key: bytes) -> str:
    """By what an app names a key to its server: the first digits of its SHA-256, which tell nothing of a random one."""
    return hashlib.sha256(key).hexdigest()[:_ID_DIGITS]


def need_cipher() -> None:
    """Raise MissingExtra where nothing can be encrypted."""
    registry.require(("cryptography",), "encrypt")


def encrypt_file(path: Path, key: bytes) -> None:
    """Put what opens with the key alone, under this name, into the place of a file.

    Raises:
        MissingExtra: the package `cryptography` is not installed.
        OSError: it cannot be read or written.
    """
    need_cipher()
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    salt, prefix = os.urandom(_SALT_BYTES), os.urandom(_PREFIX_BYTES)
    cipher = AESGCM(_derived(key, salt, path.name.encode()))
    made = path.with_name(f"{path.name}.encrypted")
    with path.open("rb") as source, made.open("wb") as out:
        out.write(bytes([_HEAD_BYTES]) + salt + prefix)
        number, data = 0, source.read(_SEGMENT_BYTES - _HEAD_BYTES - _TAG_BYTES)
        while True:
            after = source.read(_SEGMENT_BYTES - _TAG_BYTES)
            out.write(cipher.encrypt(prefix + struct.pack(">IB", number, not after), data, None))
            if not after:
                break
            number, data = number + 1, after
    made.replace(path)


def _derived(key: bytes, salt: bytes, name: bytes) -> bytes:
    """HKDF of as many bytes as its hash has: one round of each half."""
    return hmac.digest(hmac.digest(salt, key, "sha256"), name + b"\1", "sha256")
