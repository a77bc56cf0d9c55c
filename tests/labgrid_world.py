"""labgrid's own coordinator and exporter on the loopback, with a place for each board."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from loopback import free_port


def program(name):
    return shutil.which(name, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")


class Lab:
    """A lab whose places lead to ssh servers: `{"pi4": server}`. `client("desk/bob", ...)` is somebody else's."""

    def __init__(self, home, boards):
        if program("labgrid-client") is None:
            pytest.skip("there is no labgrid-client: pip install 'edgewright[labgrid]'")
        self.home, self.children = home, []
        self.address = f"127.0.0.1:{free_port()}"
        self.start("labgrid-coordinator", "-l", self.address)
        self.until_it_answers()
        lines = [
            f"{name}:\n  NetworkService: {{address: 127.0.0.1, username: {server.user}, port: {server.port}}}\n"
            for name, server in boards.items()
        ]
        (home / "exporter.yaml").write_text("".join(lines))
        self.exporter = self.start("labgrid-exporter", "-c", self.address, "-n", "lab", str(home / "exporter.yaml"))
        for name in boards:
            self.client("", "-p", name, "create")
            self.client("", "-p", name, "add-match", f"lab/{name}/*")
        self.until(lambda: all(f"lab/{name}/" in self.client("", "resources") for name in boards))

    def start(self, name, *words):
        log = (self.home / f"{name}.log").open("ab")
        child = subprocess.Popen([program(name), *words], cwd=self.home, stdout=log, stderr=log)
        self.children.append(child)
        return child

    def client(self, who, *words):
        """What its client prints for a user, `HOST/USER`; for this one where it is empty."""
        names = dict(zip(("LG_HOSTNAME", "LG_USERNAME"), who.split("/"), strict=True)) if who else {}
        env = {**os.environ, **names, "LG_COORDINATOR": self.address}
        argv = [program("labgrid-client"), *words]
        return subprocess.run(argv, env=env, check=True, capture_output=True, text=True, timeout=60).stdout

    def holders(self):
        """Who has which place: `{"pi4": "vm/ann"}`."""
        rows = [line.split() for line in self.client("", "who").splitlines()[1:]]
        return {place: f"{host}/{user}" for user, host, place, *_ in rows}

    def until_it_answers(self):
        def answers():
            try:
                self.client("", "places")
            except subprocess.CalledProcessError:
                return False
            return True

        self.until(answers)

    def until(self, true, within_s=30.0):
        end = time.monotonic() + within_s
        while not true():
            if time.monotonic() > end:
                logs = "\n".join(path.read_text()[-500:] for path in self.home.glob("*.log"))
                pytest.fail(f"the lab is not ready: {logs}")
            time.sleep(0.1)

    def stop(self):
        for child in self.children:
            child.kill()
            child.wait()
