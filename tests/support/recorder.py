"""An application that writes down exactly what reached it: every connection, every request on it, head and body as
bytes. Reads as strictly as it can and never repairs: what it cannot read is written down as garbage."""

import contextlib
import dataclasses
import socket
import ssl
import threading


@dataclasses.dataclass
class Seen:
    connection: int
    method: str
    target: str
    fields: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for field, value in self.fields if field.lower() == name.lower()]

    def one(self, name: str) -> str | None:
        found = self.all(name)
        assert len(found) <= 1, (name, found)
        return found[0] if found else None

    def names(self) -> set[str]:
        return {name.lower() for name, _ in self.fields}

    @property
    def path(self) -> str:
        return self.target.split("?", 1)[0]


class Recorder:
    def __init__(self, answer: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", tls: ssl.SSLContext | None = None):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        self.answer, self.tls = answer, tls
        self.seen: list[Seen] = []
        self.garbage: list[bytes] = []
        self.connections = 0
        self.lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.connections += 1
                number = self.connections
            threading.Thread(target=self._serve, args=(connection, number), daemon=True).start()

    def _serve(self, connection: socket.socket, number: int):
        if self.tls is not None:
            try:
                connection = self.tls.wrap_socket(connection, server_side=True)
            except OSError:
                return
        reader = connection.makefile("rb")
        # A body that breaks off or is no body ends the connection, and is no request.
        with contextlib.suppress(OSError, ValueError), connection:
            while self._request(reader, connection, number):
                pass

    def _request(self, reader, connection, number) -> bool:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = reader.readline()
            if not line:
                if head:
                    self.garbage.append(head)
                return False
            head += line
        lines = head[:-4].decode("latin-1").split("\r\n")
        parts = lines[0].split(" ")
        if len(parts) != 3 or any(": " not in line and not line.endswith(":") for line in lines[1:]):
            self.garbage.append(head)
            return False
        request = Seen(number, parts[0], parts[1], [tuple(line.split(":", 1)) for line in lines[1:]], b"")
        request.fields = [(name, value.strip()) for name, value in request.fields]
        if request.all("expect"):
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if request.all("transfer-encoding"):
            request.body = self._chunks(reader)
        elif length := request.one("content-length"):
            request.body = reader.read(int(length))
            if len(request.body) != int(length):
                return False  # cut short: no request
        with self.lock:
            self.seen.append(request)
        connection.sendall(self.answer)
        return True

    @staticmethod
    def _chunks(reader) -> bytes:
        body = b""
        while True:
            size = int(reader.readline().strip(), 16)
            body += reader.read(size)
            if reader.readline() != b"\r\n":
                raise ValueError("a chunk without its end")
            if size == 0:
                return body

    def stop(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
