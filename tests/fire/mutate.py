"""Bad inputs made of good ones: bytes that were damaged, and trees of JSON that say what cannot be.

Everything follows from a seed, so that an input that was found is an input that can be made again.
"""

import copy
import json
import os
import stat
import struct

HUGE = (2**31, 2**53, 2**64, -1, -(2**63), 10**30, 1e308, -1e308, 5e-324, 0, True)
WORDS = (
    "", "\0", "\ud800", "..", "../../etc/passwd", "/etc/passwd", "-rf", "a\nb", "$(id)", "`id`", "%s%n", "\u202e", "x" * 300,
    "NaN", "é" * 70, "\U0001f600", "con", ".", "a/../b", "a//b", "{bundle}", "\x1b[31m", "<script>", "'", '"', "\\", "a" * 5000,
)  # fmt: skip
RAW = (
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b"1e999",
    b"\xff",
    b"[" * 3000,
    b'{"a":' * 3000,
    b"tru",
    b"00",
    b"\xef\xbb\xbf",
    b"",
)
PIECES = (
    b"\0",
    b"\xff",
    b"\n",
    b"\r\n",
    b"\t",
    b'"',
    b"[",
    b"{",
    b"=",
    b"\x80\x80\x80",
    b"../",
    b"[[",
    b"'''",
    b"# ",
    b"\xed\xa0\x80",
)


def blob(data, luck):
    """Damaged bytes: flips, cuts, repeats, numbers at the edge, pieces that mean something, or much of one."""
    data = bytearray(data)
    for _ in range(luck.choice((1, 1, 1, 2, 4, 16))):
        at = luck.randrange(len(data) + 1)
        length = luck.choice((1, 2, 4, 8, 64, 1000))
        match luck.randrange(9):
            case 0 | 1:
                if data:
                    data[at % len(data)] ^= 1 << luck.randrange(8)
            case 2:
                del data[at:]
            case 3:
                del data[at : at + length]
            case 4:
                data[at:at] = data[at : at + length] * luck.choice((1, 2, 50))
            case 5:
                number = luck.choice((0, 1, -1, 2**31 - 1, -(2**31), 2**15))
                data[at : at + 4] = struct.pack("<i", number)
            case 6:
                data[at : at + 8] = struct.pack("<q", luck.choice((0, -1, 2**63 - 1, -(2**63), 2**32)))
            case 7:
                data[at:at] = luck.choice(PIECES) * luck.choice((1, 1, 1, 3000))
            case 8:
                data[at : at + length] = luck.randbytes(length)
    return bytes(data)


def places(tree, found=None):
    """Every container of a tree with each of its keys."""
    found = [] if found is None else found
    for key in list(tree) if isinstance(tree, dict) else range(len(tree)):
        found.append((tree, key))
        if isinstance(tree[key], dict | list):
            places(tree[key], found)
    return found


def value(luck, old):
    """A value that does not belong there."""
    return luck.choice(
        (
            None, True, [], {}, [[]], luck.choice(HUGE), luck.choice(HUGE), luck.choice(WORDS), luck.choice(WORDS), [old],
            [old] * 3, {"": old}, str(old)[:200], luck.random() * 10 ** luck.randrange(-30, 30), [luck.choice(WORDS)] * 40,
        )
    )  # fmt: skip


def tree(seed, luck):
    """The bytes of a tree of JSON that was changed in some places; sometimes as JSON that is none."""
    made = copy.deepcopy(seed)
    for _ in range(luck.choice((1, 1, 1, 2, 3))):
        spots = places(made) if isinstance(made, dict | list) else []
        if not spots or luck.random() < 0.02:
            made = value(luck, made)
            continue
        inside, key = luck.choice(spots)
        match luck.randrange(6):
            case 0 | 1 | 2:
                inside[key] = value(luck, inside[key])
            case 3:
                del inside[key]
            case 4 if isinstance(inside, dict):
                inside[luck.choice((*WORDS, "schema", "path", "more"))] = inside[key]
            case _:
                other, there = luck.choice(spots)
                inside[key] = (
                    copy.deepcopy(other[there])
                    if there in range(len(other)) or (isinstance(other, dict) and there in other)
                    else None
                )
    data = json.dumps(made).encode()
    if luck.random() < 0.15:
        data = _spoiled(data, luck)
    return data


def _spoiled(data, luck):
    """JSON that no writer of JSON writes: a key twice, a number that is none, bytes that are none."""
    at = data.find(b":", luck.randrange(len(data) + 1))
    end = min((found for mark in (b",", b"}", b"]") if (found := data.find(mark, at)) > 0), default=-1)
    if at < 0 or end < 0 or luck.random() < 0.3:
        return blob(data, luck)
    if luck.random() < 0.5:
        return data[: at + 1] + luck.choice(RAW) + data[end:]
    begin = max(data.rfind(b"{", 0, at), data.rfind(b",", 0, at)) + 1
    return data[:begin] + data[begin:end] + b"," + data[begin:]


def odd(path, luck, data):
    """Put something at a path that is no plain file, or a file that is not what it seems."""
    match luck.randrange(6):
        case 0:
            os.mkfifo(path)
        case 1:
            path.symlink_to(luck.choice(("/etc/hostname", path.name, "nowhere", "/proc/self/mem")))
        case 2:
            path.mkdir()
        case 3:
            with path.open("wb") as file:
                file.truncate(2 ** luck.randrange(20, 42))  # of holes
        case 4 if os.geteuid() == 0:
            os.mknod(
                path, stat.S_IFCHR | 0o600, os.makedev(1, luck.choice((3, 5, 9)))
            )  # null, zero and urandom of our own
        case _:
            path.write_bytes(data[: len(data) // 2])
