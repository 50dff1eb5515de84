"""A TCP link that fails as networks do: it can swallow everything in silence, break off, or be slow and late.

    with Link(port) as link:           # link.port leads to `port` on this machine
        link.cut()                     # nothing arrives any more, in either direction; nobody is told
        link.heal()                    # what was held arrives
        link.reset()                   # every connection breaks off with RST
        link.slow(bytes_per_second=50_000, late=0.1)
"""

import contextlib
import socket
import struct
import threading
import time

CHUNK = 16_384


class Link:
    def __init__(self, target: int, host: str = "127.0.0.1"):
        self.target = (host, target)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.open = threading.Event()
        self.open.set()
        self.rate, self.late = 0.0, 0.0
        self.carried = 0  # bytes, both directions
        self.sockets: set[socket.socket] = set()
        self.lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def cut(self):
        self.open.clear()

    def heal(self):
        self.open.set()

    def slow(self, bytes_per_second: float = 0, late: float = 0):
        self.rate, self.late = bytes_per_second, late

    def reset(self):
        with self.lock:
            sockets, self.sockets = self.sockets, set()
        for each in sockets:
            with contextlib.suppress(OSError):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def stop(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.open.set()
        self.reset()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket):
        self.open.wait()
        try:
            server = socket.create_connection(self.target)
        except OSError:
            client.close()
            return
        with self.lock:
            self.sockets |= {client, server}
        for pair in ((client, server), (server, client)):
            threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket):
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK):
                self.open.wait()
                delay = self.late + (len(data) / self.rate if self.rate else 0)
                if delay:
                    time.sleep(delay)  # this is the slowness itself, not a wait for something
                target.sendall(data)
                self.carried += len(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
