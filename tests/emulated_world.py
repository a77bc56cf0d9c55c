"""A whole emulated aarch64 user-land in namespaces of its own: what it starts, and what that starts, runs under qemu.

Started as root: `python emulated_world.py ROOT QEMU CPU CPUINFO PROGRAM...`. The kernel is told in a user namespace of
its own that aarch64 programs are qemu's (binfmt_misc, since Linux 6.7), so that the machine itself does not change. The
network is the machine's: a server in there listens on its loopback.
"""

import ctypes
import os
import signal
import sys
from pathlib import Path

_NEWNS, _NEWUSER = 0x00020000, 0x10000000
_BIND, _REC, _PRIVATE = 0x1000, 0x4000, 0x40000
_PR_SET_PDEATHSIG = 1
_HEAD = rb"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00".decode()
_MASK = rb"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff".decode()
_libc = ctypes.CDLL(None, use_errno=True)


def done(code, what):
    if code:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), what)


def mount(source, target, kind=None, flags=0):
    done(_libc.mount(source.encode(), target.encode(), kind and kind.encode(), flags, None), target)


def enter(root, qemu, cpu, cpuinfo, argv):
    """Become a program of the user-land, once this process has its own users."""
    os.setgid(0)
    os.setuid(0)
    mount("none", "/", flags=_REC | _PRIVATE)
    for name in ("proc", "dev"):
        mount(f"/{name}", f"{root}/{name}", flags=_BIND | _REC)
    formats = f"{root}/proc/sys/fs/binfmt_misc"
    mount("none", formats, "binfmt_misc")
    Path(formats, "register").write_text(f":qemu-aarch64:M::{_HEAD}:{_MASK}:{qemu}:OCF")
    mount(cpuinfo, f"{root}/proc/cpuinfo", flags=_BIND)
    os.chroot(root)
    os.chdir("/")
    place = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/root"}
    os.execve(argv[0], argv, {**place, "QEMU_CPU": cpu})  # noqa: S606


def main():
    root, qemu, cpu, cpuinfo, *argv = sys.argv[1:]
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    (ready, tell), (go, let) = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        done(_libc.unshare(_NEWUSER | _NEWNS), "unshare")
        os.write(tell, b"x")
        os.read(go, 1)
        enter(root, qemu, cpu, cpuinfo, argv)
    os.read(ready, 1)
    for name in ("uid_map", "gid_map"):
        Path(f"/proc/{child}/{name}").write_text("0 0 65536\n")
    os.write(let, b"x")
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


if __name__ == "__main__":
    main()
