"""Key endpoints of identity providers as they are on bad days: real HTTP servers that drip, hang, answer with pages,
leak private keys, or do not speak TLS; and the tokens that such a provider would sign."""

import base64
import http.server
import json
import pathlib
import socket
import ssl
import subprocess
import threading
import time

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa


def _number(value: int, length: int) -> str:
    return base64.urlsafe_b64encode(value.to_bytes(length, "big")).rstrip(b"=").decode()


class Key:
    def __init__(self, kid: str):
        self.kid = kid
        self.private = ec.generate_private_key(ec.SECP256R1())

    def jwk(self, **more) -> dict:
        at = self.private.public_key().public_numbers()
        return {"kty": "EC", "crv": "P-256", "kid": self.kid, "alg": "ES256", "x": _number(at.x, 32), "y": _number(at.y, 32), **more}


def short_rsa(kid: str) -> dict:
    n = rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key().public_numbers().n
    return {"kty": "RSA", "kid": kid, "alg": "RS256", "e": "AQAB", "n": _number(n, 128)}


class Endpoint:
    """`answer(handler)` writes what it likes. `tokens of` this provider are signed by `key`."""

    def __init__(self, name: str, answer=None, tls: pathlib.Path | None = None):
        self.name, self.answer, self.key = name, answer, Key("k1")
        self.fetched: list[float] = []
        self.published = [self.key]
        self.ending = threading.Event()
        endpoint = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                endpoint.fetched.append(time.monotonic())
                if endpoint.answer is None:
                    self.document(endpoint.jwks())
                else:
                    endpoint.answer(endpoint, self)

            def document(self, body, status=200, **fields):
                body = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **fields}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass  # whoever hangs up on us is right

        self.server = Server(("127.0.0.1", 0), Handler)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def jwks(self) -> dict:
        return {"keys": [key.jwk() for key in self.published]}

    def token(self, key: Key | None = None, kid: str | None = None, organization="101", **claims) -> str:
        key = key or self.key
        now = int(time.time())
        return jwt.encode({"iss": self.url, "sub": "someone", "aud": "portal", "iat": now, "exp": now + 600, "org": organization, **claims},
                          key.private, "ES256", {"kid": kid or key.kid})

    def stop(self):
        self.ending.set()
        self.server.shutdown()
        self.server.server_close()


def _drip(endpoint, handler):
    body = json.dumps(endpoint.jwks()).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    for byte in head + body:
        if endpoint.ending.wait(0.5):
            return
        handler.wfile.write(bytes([byte]))


def _endless(endpoint, handler):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n" + json.dumps(endpoint.jwks()).encode())
    while not endpoint.ending.is_set():
        handler.wfile.write(b" " * 65536)


def bad_endpoints(folder: pathlib.Path) -> list[Endpoint]:
    """One for each way of being wrong. In all of them lies a key set that would be right."""
    made = [
        Endpoint("drips", _drip),
        Endpoint("hangs", lambda e, h: e.ending.wait(120)),
        Endpoint("is huge", lambda e, h: h.document(json.dumps(e.jwks()).encode() + b" " * 70_000)),
        Endpoint("is endless", _endless),
        Endpoint("redirects", lambda e, h: h.document(e.jwks()) if h.path == "/moved" else h.document(b"", 302, Location=e.url + "/moved")),
        Endpoint("fails", lambda e, h: h.document(e.jwks(), 500)),
        Endpoint("is a page", lambda e, h: h.document(b"<html><body>Sign in to continue</body></html>")),
        Endpoint("is no JSON", lambda e, h: h.document(json.dumps(e.jwks()).encode() + b"}")),
        Endpoint("has a kid twice", lambda e, h: h.document({"keys": [e.key.jwk(), Key("k1").jwk()]})),
        Endpoint("leaks a private key", lambda e, h: h.document({"keys": [e.key.jwk(d="AAAA")]})),
        Endpoint("has a symmetric key", lambda e, h: h.document({"keys": [e.key.jwk(), {"kty": "oct", "kid": "h", "k": "AAAA"}]})),
        Endpoint("has a short RSA key", lambda e, h: h.document({"keys": [e.key.jwk(), short_rsa("r")]})),
        Endpoint("is cut short", lambda e, h: (h.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{\"keys\":["),
                                               h.connection.shutdown(socket.SHUT_RDWR))),
    ]
    certificate = folder / "untrusted.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", certificate,
                    "-out", folder / "certificate", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"],
                   check=True, capture_output=True)
    certificate.write_text(certificate.read_text() + (folder / "certificate").read_text())
    made.append(Endpoint("is not who it says", tls=certificate))
    gone = Endpoint("is gone")
    gone.stop()
    return [*made, gone]
