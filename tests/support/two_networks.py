"""Two network namespaces with a wire between them that can be cut in silence, unplugged, or made long: each region's node lives
in one, and can reach the other's and nothing else. PostgreSQL is reached through its Unix socket, which no network is part of.

    with TwoNetworks() as networks:
        subprocess.Popen([*networks.a.run, "domicile", "serve", ...])   # networks.a.address is its own
        networks.cut()          # every frame is lost and nobody is told; heal() mends it
        networks.lengthen(80)   # each frame arrives 80 ms later; established connections stay

Needs root and iproute2. The wire is a Python process in a third namespace that hands frames on.
"""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

WIRE = pathlib.Path(__file__).with_name("two_networks_wire.py")


def why_not() -> str:
    """Why namespaces cannot be made here; empty when they can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if not shutil.which("ip"):
        return "network namespaces need iproute2"
    name = f"domicile-probe-{os.getpid()}"
    made = _ip("netns", "add", name, check=False)
    if made.returncode != 0:
        return f"no network namespaces here: {made.stderr.strip()}"
    _ip("netns", "del", name)
    return ""


def _ip(*arguments, check=True) -> subprocess.CompletedProcess:
    return subprocess.run(["ip", *arguments], text=True, capture_output=True, check=check)


class Side:
    def __init__(self, name: str, address: str):
        self.name, self.address = name, address
        self.run = ["ip", "netns", "exec", name]


class TwoNetworks:
    def __init__(self):
        tag = f"{os.getpid()}"
        self.a, self.b = Side(f"dom-a-{tag}", "10.99.0.1"), Side(f"dom-b-{tag}", "10.99.0.2")
        self.middle = f"dom-m-{tag}"
        self.wire: subprocess.Popen | None = None
        self.late_ms = 0
        try:
            for name in (self.middle, self.a.name, self.b.name):
                _ip("netns", "add", name)
                _ip("-n", name, "link", "set", "lo", "up")
            for side, port in ((self.a, "to-a"), (self.b, "to-b")):
                _ip("-n", side.name, "link", "add", "wan", "type", "veth", "peer", "name", port, "netns", self.middle)
                _ip("-n", side.name, "addr", "add", f"{side.address}/24", "dev", "wan")
                _ip("-n", self.middle, "link", "set", port, "up", "promisc", "on")
                _ip("-n", side.name, "link", "set", "wan", "up")
            self.heal()
        except BaseException:
            self.down()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.down()

    def cut(self):
        if self.wire is not None:
            self.wire.kill()
            self.wire.wait()
            self.wire = None

    def heal(self):
        self.cut()
        for port in ("to-a", "to-b"):
            _ip("-n", self.middle, "link", "set", port, "up")
        self.wire = subprocess.Popen(["ip", "netns", "exec", self.middle, sys.executable, str(WIRE), str(self.late_ms)], text=True,
                                     stdout=subprocess.PIPE)
        assert self.wire.stdout.readline() == "ready\n"

    def unplug(self):
        """Both sides see their link go down; heal() plugs it in."""
        self.cut()
        for port in ("to-a", "to-b"):
            _ip("-n", self.middle, "link", "set", port, "down")

    def lengthen(self, late_ms: float):
        self.late_ms = late_ms
        self.heal()

    def down(self):
        self.cut()
        for name in (self.a.name, self.b.name, self.middle):
            for pid in _ip("netns", "pids", name, check=False).stdout.split():
                with contextlib.suppress(OSError):
                    os.kill(int(pid), signal.SIGKILL)
            deadline = time.monotonic() + 10
            while _ip("netns", "pids", name, check=False).stdout.split() and time.monotonic() < deadline:
                time.sleep(0.02)
            _ip("netns", "del", name, check=False)
