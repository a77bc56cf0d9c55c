"""A real systemd as process 1 of namespaces of its own, with nothing to start but what a test gives it.

Run as `systemd_world.py FOLDER`, in new namespaces for mounts, processes and control groups, as root. `FOLDER/srv` is
/srv there; /run, /etc/systemd/system and /var/cache are empty, and nothing of it is seen outside.
"""

import os
import subprocess
import sys
from pathlib import Path

UNITS = "/etc/systemd/system"
TARGETS = ("basic", "sysinit", "shutdown", "multi-user", "default")


def mount(kind, where):
    subprocess.run(["mount", "-t", kind, "none", where], check=True)


def main(folder):
    for where in ("/run", UNITS, "/var/cache"):
        mount("tmpfs", where)
    subprocess.run(["mount", "--bind", f"{folder}/srv", "/srv"], check=True)
    subprocess.run(["umount", "-R", "/sys/fs/cgroup"], check=False)
    mount("cgroup2", "/sys/fs/cgroup")
    Path("/run/systemd/system").mkdir(parents=True)
    for name in TARGETS:
        Path(UNITS, f"{name}.target").write_text(f"[Unit]\nDescription={name}\nDefaultDependencies=no\n")
    environment = {**os.environ, "container": "test", "SYSTEMD_UNIT_PATH": UNITS}
    log = ["--log-target=console", "--log-level=notice", "--show-status=no"]
    os.execve("/usr/lib/systemd/systemd", ["systemd", "--system", "--unit=multi-user.target", *log], environment)  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1])
