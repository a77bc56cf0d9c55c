"""The disk in memory behaves as the real one does, and forgets what was not synced."""

import errno
import hashlib
import random

import pytest

from edgewright.devices._fake.disk import FakeDisk, Fault, PowerCut
from edgewright.devices._onboard.disk import RealDisk
from edgewright.devices._onboard.files import ensure_dir, fill, get, put, remove


@pytest.fixture(params=["fake", "real"])
def disk(request, tmp_path):
    """A disk, and a directory of it."""
    if request.param == "real":
        return RealDisk(), str(tmp_path)
    fake = FakeDisk()
    fake.mkdir("/d", 0o755)
    return fake, "/d"


def fails(number, step, *arguments):
    with pytest.raises(OSError, match=r"\w") as caught:
        step(*arguments)
    assert caught.value.errno in (number if isinstance(number, tuple) else (number,))


def test_files(disk):
    disk, d = disk
    put(disk, f"{d}/a", b"one")
    put(disk, f"{d}/a", b"two")
    fill(disk, f"{d}/a", b"!", how="append")
    assert get(disk, f"{d}/a", 99) == b"two!"
    assert disk.list(d) == ["a"]
    assert disk.sha256(f"{d}/a", sync=True) == hashlib.sha256(b"two!").hexdigest()
    facts = disk.stat(f"{d}/a")
    assert (facts.kind, facts.size_bytes, facts.links, facts.mode, facts.ours) == ("file", 4, 1, 0o644, True)
    fails(errno.EFBIG, get, disk, f"{d}/a", 3)
    assert disk.stat(f"{d}/b") is None


def test_links(disk):
    disk, d = disk
    put(disk, f"{d}/a", b"one")
    disk.link(f"{d}/a", f"{d}/b")
    disk.symlink("a", f"{d}/l")
    assert disk.stat(f"{d}/a").links == 2
    assert (disk.readlink(f"{d}/l"), disk.stat(f"{d}/l").kind) == ("a", "link")
    fails(errno.EEXIST, disk.link, f"{d}/a", f"{d}/b")
    fails(errno.EEXIST, disk.symlink, "a", f"{d}/l")
    fails(errno.ELOOP, disk.open, f"{d}/l", "read")
    fails(errno.ELOOP, disk.open, f"{d}/l", "write")
    disk.rename(f"{d}/b", f"{d}/c")
    put(disk, f"{d}/a", b"two")
    assert (get(disk, f"{d}/c", 9), disk.stat(f"{d}/c").links) == (b"one", 1)


def test_directories(disk):
    disk, d = disk
    ensure_dir(disk, f"{d}/x", 0o700)
    disk.mkdir(f"{d}/x/y", 0o755)
    put(disk, f"{d}/x/y/f", b"")
    assert disk.stat(f"{d}/x").mode == 0o700
    fails(errno.ENOTEMPTY, disk.rmdir, f"{d}/x")
    fails(errno.EEXIST, disk.mkdir, f"{d}/x", 0o755)
    fails(errno.ENOENT, disk.mkdir, f"{d}/no/where", 0o755)
    fails((errno.EISDIR, errno.EPERM), disk.unlink, f"{d}/x")
    fails((errno.EINVAL, errno.EISDIR), disk.open, f"{d}/x", "read")
    fails(errno.ENOTDIR, disk.list, f"{d}/x/y/f")
    fails(errno.ENOTDIR, disk.rmdir, f"{d}/x/y/f")
    disk.mkdir(f"{d}/z", 0o755)
    disk.rename(f"{d}/z", f"{d}/w")
    disk.rename(f"{d}/x", f"{d}/w")
    assert disk.list(f"{d}/w") == ["y"]
    put(disk, f"{d}/plain", b"")
    fails(errno.EISDIR, disk.rename, f"{d}/plain", f"{d}/w")
    fails(errno.ENOTDIR, ensure_dir, disk, f"{d}/plain")
    disk.symlink(f"{d}/w", f"{d}/link")
    fails(errno.ENOTDIR, ensure_dir, disk, f"{d}/link")
    remove(disk, f"{d}/link")
    assert disk.list(f"{d}/w") == ["y"]
    remove(disk, f"{d}/w")
    remove(disk, f"{d}/w")
    assert disk.list(d) == ["plain"]


def test_a_lock_is_for_one_and_goes_when_it_is_closed(disk):
    disk, d = disk
    lock = disk.lock(f"{d}/lock")
    fails(errno.EAGAIN, disk.lock, f"{d}/lock")
    assert get(disk, f"{d}/lock", 9) == b""
    fails(errno.EAGAIN, disk.lock, f"{d}/lock")
    disk.close(lock)
    disk.close(disk.lock(f"{d}/lock"))


def test_free_space(disk):
    disk, d = disk
    assert disk.free(d).free_bytes > 0
    assert disk.now_s() > 0


# power cuts


def fresh():
    disk = FakeDisk()
    disk.mkdir("/d", 0o755)
    disk.sync_dir("/")
    return disk


def written(disk, data=b"new"):
    handle = disk.open("/d/a", "write")
    disk.write(handle, data)
    return handle


def test_what_was_not_synced_is_lost():
    disk = fresh()
    handle = written(disk)
    disk.sync(handle)
    disk.reboot()
    assert disk.tree("/") == {"/d": "dir"}


def test_a_name_without_its_bytes():
    disk = fresh()
    written(disk)
    disk.sync_dir("/d")
    disk.reboot()
    assert disk.peek("/d/a") == b""


def test_what_was_synced_stays_whatever_the_luck():
    for seed in range(20):
        disk = fresh()
        put(disk, "/d/a", b"old")
        disk.reboot(random.Random(seed))
        assert disk.peek("/d/a") == b"old"


def test_luck_leaves_old_new_and_torn():
    seen = set()
    for seed in range(200):
        disk = fresh()
        put(disk, "/d/a", b"old")
        written(disk)
        disk.reboot(random.Random(seed))
        seen.add(disk.peek("/d/a"))
    assert {b"old", b"new", b"", b"n\0\0"} <= seen


def test_changes_of_a_directory_are_kept_in_no_order():
    seen = set()
    for seed in range(200):
        disk = fresh()
        for name in "ab":
            disk.mkdir(f"/d/{name}", 0o755)
        disk.rename("/d/b", "/d/c")
        disk.reboot(random.Random(seed))
        seen.add("".join(disk.list("/d")))
    assert seen == {"", "a", "b", "ab", "c", "ac"}


def test_links_are_counted_again_after_a_cut():
    disk = fresh()
    put(disk, "/d/a", b"x")
    disk.link("/d/a", "/d/b")
    assert disk.stat("/d/a").links == 2
    disk.reboot()
    assert (disk.list("/d"), disk.stat("/d/a").links) == (["a"], 1)


def test_after_a_cut_nothing_goes_on():
    disk = fresh()
    disk.fault = Fault(disk.count, "crash")
    with pytest.raises(PowerCut):
        disk.mkdir("/d/a", 0o755)
    with pytest.raises(PowerCut):
        disk.list("/d")
    disk.reboot()
    assert disk.list("/d") == []


# faults


def test_a_full_disk_takes_what_it_can():
    disk = FakeDisk(capacity_bytes=5)
    disk.mkdir("/d", 0o755)
    with pytest.raises(OSError, match="No space left") as caught:
        fill(disk, "/d/a", b"more than five")
    assert caught.value.errno == errno.ENOSPC
    assert (disk.peek("/d/a"), disk.free("/").free_bytes) == (b"more ", 0)


def test_each_kind_of_fault_hits_what_it_can():
    for kind, number in (("error", errno.EIO), ("nospace", errno.ENOSPC)):
        disk = fresh()
        disk.fault = Fault(disk.count, kind)
        fails(number, disk.mkdir, "/d/a", 0o755)
        disk.mkdir("/d/a", 0o755)
    disk = fresh()
    disk.fault = Fault(disk.count, "nospace", lasts=True)
    disk.list("/d")
    for _ in range(2):
        fails(errno.ENOSPC, disk.mkdir, "/d/a", 0o755)
    disk = fresh()
    disk.fault = Fault(disk.count + 1, "short")
    handle = disk.open("/d/a", "write")
    assert (disk.write(handle, b"abcd"), disk.write(handle, b"cd")) == (2, 2)
    assert disk.peek("/d/a") == b"abcd"


def test_a_copy_goes_its_own_way():
    disk = fresh()
    put(disk, "/d/a", b"x")
    disk.link("/d/a", "/d/b")
    disk.mkdir("/d/unsynced", 0o755)
    twin = disk.copy()
    remove(twin, "/d/a")
    assert (disk.list("/d"), twin.list("/d")) == (["a", "b", "unsynced"], ["b", "unsynced"])
    assert twin.stat("/d/b").links == 1
    twin.reboot()
    assert twin.list("/d") == ["a"]
