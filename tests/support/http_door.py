"""A running HTTP door for system tests: the real gateway with a real event log (bench/http.cpp), in a
process of its own, in front of a scripted upstream. Plain sockets, so that a test can send any bytes."""

import contextlib
import json
import os
import pathlib
import socket
import ssl
import subprocess
import threading

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def program() -> pathlib.Path:
    if "DOMICILE_BENCH_HTTP" in os.environ:
        return pathlib.Path(os.environ["DOMICILE_BENCH_HTTP"])
    built = [p for p in ROOT.glob("build/*/bench_http") if p.is_file()]
    if not built:
        pytest.skip("no bench_http: ninja -C build/dev bench_http")
    return max(built, key=lambda p: p.stat().st_mtime)


class Upstream:
    """Answers every request with what it saw, one thread a connection."""

    def __init__(self, port: int = 0):
        self.listener = socket.create_server(("127.0.0.1", port))
        self.port = self.listener.getsockname()[1]
        self.heads: list[str] = []
        self.connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket):
        reader = connection.makefile("rb")
        try:
            while True:
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    line = reader.readline()
                    if not line:
                        return
                    head += line
                text = head.decode("latin-1")
                self.heads.append(text)
                body = b""
                for line in text.split("\r\n"):
                    if line.lower().startswith("content-length:"):
                        body = reader.read(int(line.split(":")[1]))
                answer = b"seen " + text.split(" ")[1].encode() + b" " + body
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)
        except OSError:
            return

    def stop(self):
        """As if killed: whoever is connected is cut off, and nobody listens."""
        for each in (self.listener, *self.connections):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


class Answer:
    def __init__(self, raw: bytes):
        head, _, self.body = raw.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split(" ")[1]) if raw else 0
        self.fields = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines[1:])}

    def json(self):
        return json.loads(self.body)


class Door:
    def __init__(self, folder: pathlib.Path, *flags: str, tokens: int = 2, upstream: int = 0):
        self.folder = folder
        self.upstream = Upstream()
        key = folder / "key.pem"
        subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out",
                        str(key)], check=True, capture_output=True)
        key.chmod(0o600)
        self.process = subprocess.Popen(
            [str(program()), "--upstream", f"http://127.0.0.1:{upstream or self.upstream.port}", "--tokens",
             str(folder / "tokens"), "--audit-directory", str(folder / "audit"), "--key", str(key), "--algorithm",
             "ES256", "--token-count", str(tokens), *flags],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())
        self.tokens = dict(line.split() for line in (folder / "tokens").read_text().splitlines())

    def tell(self, word: str):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def connect(self, tls: ssl.SSLContext | None = None) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        return tls.wrap_socket(connection, server_hostname="localhost") if tls else connection

    def request(self, line: str, fields: str = "", org: str = "1") -> bytes:
        return (f"{line} HTTP/1.1\r\nHost: ca.test\r\nAuthorization: Bearer {self.tokens[org]}\r\n"
                f"{fields}\r\n").encode("latin-1")

    def stop(self) -> int:
        self.process.stdin.close()
        code = self.process.wait(30)
        self.upstream.stop()
        return code


def read_answer(connection: socket.socket, head_only: bool = False) -> Answer:
    """One answer with Content-Length; what follows it stays in the socket."""
    raw = b""
    while not raw.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        if not byte:
            return Answer(raw)
        raw += byte
    answer = Answer(raw)
    left = 0 if head_only else int(answer.fields.get("content-length", "0"))
    while left:
        piece = connection.recv(left)
        if not piece:
            break
        answer.body += piece
        left -= len(piece)
    return answer


def read_all(connection: socket.socket) -> bytes:
    out = b""
    while piece := connection.recv(65536):
        out += piece
    return out


def corpus(name: str) -> list[tuple[str, str, bytes]]:
    """tests/http_corpus, with its escapes undone."""
    import re

    cases = []
    for line in (ROOT / "tests/http_corpus" / name).read_text().splitlines():
        title, expected, text = line.split("\t")
        text = re.sub(r"repeat\((\d+),(.*?)\)", lambda m: m.group(2) * int(m.group(1)), text)
        escape = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\"}
        raw = re.sub(rb"\\(x[0-9a-f]{2}|.)", lambda m: bytes.fromhex(m.group(1)[1:].decode())
                     if m.group(1)[:1] == b"x" else escape[m.group(1).decode()], text.encode())
        cases.append((title, expected, raw))
    return cases
