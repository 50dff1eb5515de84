"""HTTP/2 by hand, for tests that send frames no client would send. Fields go as literals, so no compression is needed;
of an answer's head only the status is read, which stands in its first byte where the static table has it."""

import socket
import ssl
import struct

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE = range(9)
END_STREAM, ACK, END_HEADERS = 1, 1, 4
STATUS = {0x88: 200, 0x89: 204, 0x8A: 206, 0x8B: 304, 0x8C: 400, 0x8D: 404, 0x8E: 500}


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def text(value: bytes) -> bytes:
    size = len(value)
    if size < 127:
        return bytes([size]) + value
    out, size = bytearray([127]), size - 127
    while size >= 128:
        out.append(size % 128 + 128)
        size //= 128
    return bytes([*out, size]) + value


def block(fields) -> bytes:
    return b"".join(b"\0" + text(name) + text(value) for name, value in fields)


class Http2Socket:
    def __init__(self, connection: socket.socket):
        self.connection, self.stream, self.goaway = connection, -1, None
        self.scheme = b"https" if isinstance(connection, ssl.SSLSocket) else b"http"
        self.reader = connection.makefile("rb")
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0))

    def send(self, *frames: bytes):
        self.connection.sendall(b"".join(frames))

    def request(self, path: bytes, token: str = "", method: bytes = b"GET", more=(), ends: bool = True) -> int:
        """Sends one head; gives the stream's number."""
        self.stream += 2
        fields = [(b":method", method), (b":scheme", self.scheme), (b":authority", b"ca.test"), (b":path", path), *more]
        if token:
            fields.append((b"authorization", b"Bearer " + token.encode()))
        self.send(frame(HEADERS, END_HEADERS | (END_STREAM if ends else 0), self.stream, block(fields)))
        return self.stream

    def next(self):
        """(type, flags, stream, payload), or None at the connection's end."""
        try:
            head = self.reader.read(9)
            if len(head) < 9:
                return None
            size = int.from_bytes(head[:3], "big")
            return head[3], head[4], int.from_bytes(head[5:9], "big"), self.reader.read(size)
        except ConnectionError:
            return None

    def answer(self, stream: int) -> tuple[int, bytes]:
        """(status, body) of this stream; status 0 when its head names none of the usual ones, -1 when it was reset."""
        status, body = 0, b""
        while (got := self.next()) is not None:
            kind, flags, of, payload = got
            if kind == SETTINGS and not flags & ACK:
                self.send(frame(SETTINGS, ACK, 0))
            if kind == GOAWAY:
                self.goaway = int.from_bytes(payload[4:8], "big")
            if of != stream:
                continue
            if kind == HEADERS and payload:
                status = STATUS.get(payload[0], status)
            if kind == DATA:
                body += payload
            if kind == RST_STREAM:
                return -1, body
            if kind in (HEADERS, DATA) and flags & END_STREAM:
                return status, body
        return -1, body
