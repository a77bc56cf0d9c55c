"""A network of its own with a real adbd, two devices that refuse in their ways, and an adb server on a Unix socket.

Started as `unshare --net python adb_world.py FOLDER ADBD...`: adbd listens on all addresses and lets everyone in, so it
must not be in this machine's network. The server's socket is FOLDER/socket, reached by `ADB_SERVER_SOCKET`.
"""

import ctypes
import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys
import threading

ADBD, SILENT, STRICT = 6555, 6556, 6557
_AUTH, _TOKEN = 0x48545541, 1
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1


def end_with_parent():
    """A killed test run leaves nothing behind."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh", b"lo", _IFF_UP))


def peer(port, talk):
    """Listen on a port, and give each connection to `talk`."""
    listener = socket.create_server(("127.0.0.1", port))

    def serve():
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=talk, args=(connection,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()


def silent(connection):
    """A device that answers nothing: adb calls it offline."""
    while connection.recv(4096):
        pass


def strict(connection):
    """A device that asks for a signature and takes none: adb calls it unauthorized. After adb's protocol.txt."""
    token = bytes(20)
    message = struct.pack("<6I", _AUTH, _TOKEN, 0, len(token), sum(token), _AUTH ^ 0xFFFFFFFF) + token
    while True:
        head = connection.recv(24, socket.MSG_WAITALL)
        if len(head) < 24:
            return
        command, kind, _, length, _, _ = struct.unpack("<6I", head)
        while length > 0:
            length -= len(connection.recv(length))
        if command != _AUTH or kind == 2:
            connection.sendall(message)


def main():
    folder, adbd = sys.argv[1], sys.argv[2:]
    end_with_parent()
    loopback_up()
    peer(SILENT, silent)
    peer(STRICT, strict)
    environment = {**os.environ, "HOME": folder}
    with open(f"{folder}/adbd.log", "w") as log:  # noqa: PTH123
        own = {**environment, "ADBD_PORT": str(ADBD)}
        subprocess.Popen(adbd, env=own, cwd="/", stdout=log, stderr=log, preexec_fn=end_with_parent)  # noqa: PLW1509
    server = ["adb", "-L", f"localfilesystem:{folder}/socket", "server", "nodaemon"]
    sys.exit(subprocess.run(server, env=environment, check=False, preexec_fn=end_with_parent).returncode)


if __name__ == "__main__":
    main()
