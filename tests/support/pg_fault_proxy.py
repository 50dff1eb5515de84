"""Stands between a program and PostgreSQL, reads what the program says message by message, and lets things go wrong at a
chosen one.

    proxy = PgFaultProxy(cluster.port)            # the program connects to proxy.port
    proxy.arm(17, "before", node.kill)            # at the 17th message from now: do that, then break the connection
    proxy.fired.wait(20)

"before": the message does not reach the server. "after": the server has answered it, and the answer does not reach the
program; a COMMIT is then done, and the program cannot know. Messages that count are those that make the server work.
"""

import collections
import contextlib
import socket
import struct
import threading

WORK = {b"Q", b"P", b"B", b"E", b"F", b"d", b"c", b"f"}  # query, parse, bind, execute, function call, copy data, done, fail
SSL_REQUEST, GSS_REQUEST = 80877103, 80877104


class _Armed:
    def __init__(self, number: int, when: str, action):
        self.left, self.when, self.action = number, when, action


class PgFaultProxy:
    def __init__(self, target: int):
        self.target = target
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.lock = threading.Lock()
        self.armed: _Armed | None = None
        self.fired = threading.Event()
        self.messages = 0  # that counted, since the start
        self.last: collections.deque[str] = collections.deque(maxlen=12)  # for the message of a failing test
        self.sockets: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(self, number: int, when: str = "before", action=None):
        """At the `number`-th message that counts from now on (1 is the next), over all connections."""
        assert when in ("before", "after") and number >= 1
        with self.lock:
            self.fired.clear()
            self.armed = _Armed(number, when, action)

    def disarm(self) -> bool:
        """Whether it was still armed."""
        with self.lock:
            was, self.armed = self.armed is not None, None
            return was

    def cut(self):
        """Breaks all connections."""
        with self.lock:
            sockets, self.sockets = self.sockets, set()
        for each in sockets:
            _close(each)

    def stop(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.cut()

    # ---- connections ------------------------------------------------------------------------------

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket):
        try:
            server = socket.create_connection(("127.0.0.1", self.target))
        except OSError:
            client.close()
            return
        with self.lock:
            self.sockets |= {client, server}
        pair = _Pair(client, server)
        threading.Thread(target=self._answers, args=(pair,), daemon=True).start()
        with contextlib.suppress(OSError, EOFError):
            self._questions(pair)
        pair.close()

    def _questions(self, pair: "_Pair"):
        while True:  # the start has no type byte; encryption is declined
            (length,) = struct.unpack("!I", _exactly(pair.client, 4))
            body = _exactly(pair.client, length - 4)
            if struct.unpack("!I", body[:4])[0] not in (SSL_REQUEST, GSS_REQUEST):
                break
            pair.client.sendall(b"N")
        pair.server.sendall(struct.pack("!I", length) + body)
        while True:
            head = _exactly(pair.client, 5)
            body = _exactly(pair.client, struct.unpack("!I", head[1:])[0] - 4)
            due = self._count(head[:1], body)
            if due is None:
                pair.server.sendall(head + body)
                continue
            if due.when == "after":
                pair.hold.set()
                # Without Sync an extended message is not answered: a flush asks for the answer.
                pair.server.sendall(head + body + (b"H\x00\x00\x00\x04" if head[:1] in (b"P", b"B", b"E") else b""))
                pair.answered.wait(10)
            self._fire(due, pair)
            return

    def _count(self, kind: bytes, body: bytes) -> _Armed | None:
        if kind not in WORK:
            return None
        with self.lock:
            self.messages += 1
            self.last.append(f"{self.messages} {kind.decode()} {body[:160].decode('utf-8', 'replace')!r}")
            if self.armed is None:
                return None
            self.armed.left -= 1
            if self.armed.left > 0:
                return None
            due, self.armed = self.armed, None
            return due

    def _fire(self, due: _Armed, pair: "_Pair"):
        if due.action:
            due.action()
        pair.close()
        self.fired.set()

    def _answers(self, pair: "_Pair"):
        with contextlib.suppress(OSError):
            while data := pair.server.recv(65_536):
                if pair.hold.is_set():
                    pair.answered.set()
                    continue
                pair.client.sendall(data)
        pair.answered.set()
        pair.close()


class _Pair:
    def __init__(self, client: socket.socket, server: socket.socket):
        self.client, self.server = client, server
        self.hold, self.answered = threading.Event(), threading.Event()

    def close(self):
        _close(self.client)
        _close(self.server)


def _close(which: socket.socket):
    with contextlib.suppress(OSError):
        which.shutdown(socket.SHUT_RDWR)
    which.close()


def _exactly(source: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = source.recv(count - len(data))
        if not more:
            raise EOFError
        data += more
    return data
