"""WebSocket tunnels through a running door: another library on both ends, much data at once in both directions, a
client that does not read, and a drain."""

import base64
import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import threading

import pytest
from support.domicile import ROOT
from support.http_door import Door, read_answer
from support.packages import node_packages
from support.postgres import free_port

KEY = base64.b64encode(b"0123456789abcdef").decode()
FIELDS = f"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n"


def frame(payload: bytes, masked: bool) -> bytes:
    bit, size = (0x80 if masked else 0), len(payload)
    head = struct.pack("!BB", 0x82, bit | size) if size < 126 else struct.pack("!BBH", 0x82, bit | 126, size) \
        if size < 65536 else struct.pack("!BBQ", 0x82, bit | 127, size)
    return head + (b"\0\0\0\0" if masked else b"") + payload


class TunnelUpstream:
    """Takes every handshake, then hands the socket to `talk` on a thread of its own."""

    def __init__(self, talk):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port, self.talk = self.listener.getsockname()[1], talk
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += connection.recv(1)
        accept = base64.b64encode(hashlib.sha1(KEY.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()
        connection.sendall(f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                           f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode())
        with connection:
            self.talk(connection)


def door_for(folder, talk, *flags):
    upstream = TunnelUpstream(talk)
    door = Door(folder, *flags, upstream=upstream.port)
    return door, upstream


def opened(door):
    connection = door.connect()
    connection.sendall(door.request("GET /orgs/1/live", FIELDS))
    assert read_answer(connection).status == 101
    return connection


def test_the_ws_library_works_through_a_tunnel(tmp_path):
    installed = node_packages("ws@8")
    (tmp_path / "node_modules").symlink_to(installed / "node_modules")
    shutil.copy(ROOT / "tests" / "integrations" / "websocket.test.mjs", tmp_path)
    port = free_port()
    door = Door(tmp_path, upstream=port)
    try:
        given = {"door": door.port, "token": door.tokens["1"], "port": port}
        done = subprocess.run(["node", "--test", "--test-reporter=tap", "websocket.test.mjs"], cwd=tmp_path, text=True,
                              capture_output=True, timeout=60, env={**os.environ, "DOMICILE_TEST": json.dumps(given)})
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
        assert "# pass 3" in done.stdout
    finally:
        assert door.stop() == 0


def test_much_data_passes_both_ways_at_once_and_nothing_is_lost_at_a_half_close(tmp_path):
    sent_up = b"".join(frame(os.urandom(size), True) for size in (10, 70_000, 3_000_000, 200, 5_000_000))
    sent_down = b"".join(frame(os.urandom(size), False) for size in (5_000_000, 1, 130, 2_000_000))
    got_up = bytearray()

    def talk(connection):
        writer = threading.Thread(target=connection.sendall, args=(sent_down,))
        writer.start()
        while piece := connection.recv(65536):
            got_up.extend(piece)
        writer.join()
    door, _ = door_for(tmp_path, talk)
    try:
        with opened(door) as connection:
            def write():
                connection.sendall(sent_up)
                connection.shutdown(socket.SHUT_WR)
            writer = threading.Thread(target=write)
            writer.start()
            got_down = b""
            while piece := connection.recv(1 << 20):
                got_down += piece
            writer.join()
        assert got_down == sent_down
        assert bytes(got_up) == sent_up
    finally:
        assert door.stop() == 0


def resident(door) -> int:
    text = pathlib.Path(f"/proc/{door.process.pid}/smaps_rollup").read_text()
    return int(next(line for line in text.splitlines() if line.startswith("Rss:")).split()[1]) * 1024


def test_a_client_that_does_not_read_costs_bounded_memory(tmp_path):
    stuck = threading.Event()

    def talk(connection):
        connection.settimeout(1)
        try:
            for _ in range(200):
                connection.sendall(frame(b"x" * 1_000_000, False))
        except TimeoutError:
            stuck.set()
            connection.settimeout(None)
            with contextlib.suppress(OSError):
                connection.recv(1)  # until the test ends
        except ConnectionError:
            pass  # a client that left
    door, _ = door_for(tmp_path, talk)
    try:
        with opened(door):
            before = resident(door)
            connections = [opened(door) for _ in range(5)]
            assert stuck.wait(20)
            assert resident(door) - before < 8 << 20
            for connection in connections:
                connection.close()
    finally:
        door.stop()


@pytest.mark.parametrize("loops", ["1", "2"])
def test_a_drain_ends_tunnels_with_a_reason_and_does_not_wait_for_them(tmp_path, loops):
    door, _ = door_for(tmp_path, lambda connection: connection.recv(1), "--loops", loops)
    tunnels = [opened(door) for _ in range(4)]
    assert door.stop() == 0
    for tunnel in tunnels:
        assert tunnel.recv(100) == b"\x88\x0a" + struct.pack("!H", 1001) + b"draining"
        assert tunnel.recv(100) == b""
        tunnel.close()
    log = b"".join(p.read_bytes() for p in (tmp_path / "audit").iterdir() if p.is_file())
    assert log.count(b"bytes_from_client") == 4
