"""Who alerts are sent to: a webhook that keeps what it gets, and Debian's Alertmanager with such a webhook behind it."""

import base64
import hashlib
import hmac
import http.server
import json
import os
import pathlib
import subprocess
import threading
import urllib.request

from support.local_regions import wait_until
from support.postgres import free_port


class Webhook:
    """Answers with `statuses` one after the other, and 200 from then on."""

    def __init__(self, statuses: list[int] | None = None):
        self.got: list[tuple[dict, bytes]] = []
        self.statuses = list(statuses or [])
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                status = outer.statuses.pop(0) if outer.statuses else 200
                outer.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def bodies(self) -> list[dict]:
        return [json.loads(body) for _, body in self.got]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def new_secret(path: pathlib.Path) -> bytes:
    key = os.urandom(32)
    path.write_text("whsec_" + base64.b64encode(key).decode() + "\n")
    path.chmod(0o600)
    return key


def is_signed(headers: dict, body: bytes, key: bytes) -> bool:
    """As Standard Webhooks 1.0 say, computed here from its text."""
    text = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    wanted = "v1," + base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()
    return wanted in headers["webhook-signature"].split(" ")


class Alertmanager:
    def __init__(self, folder: pathlib.Path, behind: Webhook):
        self.folder, self.port = folder, free_port()
        folder.mkdir()
        self.url = f"http://127.0.0.1:{self.port}"
        (folder / "config.yml").write_text(json.dumps({
            "route": {"receiver": "hook", "group_by": ["..."], "group_wait": "0s", "group_interval": "1s"},
            "receivers": [{"name": "hook", "webhook_configs": [{"url": behind.url, "send_resolved": True}]}]}))
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            ["prometheus-alertmanager", f"--config.file={self.folder}/config.yml", f"--storage.path={self.folder}/data",
             f"--web.listen-address=127.0.0.1:{self.port}", "--cluster.listen-address="],
            stdout=subprocess.DEVNULL, stderr=open(self.folder / "log", "a"))
        wait_until(self.ready, 30, "Alertmanager is ready")

    def ready(self) -> bool:
        try:
            return urllib.request.urlopen(self.url + "/-/ready", timeout=2).status == 200
        except OSError:
            return False

    def alerts(self) -> list[dict]:
        return json.load(urllib.request.urlopen(self.url + "/api/v2/alerts", timeout=5))

    def kill(self, forget: bool = False):
        self.process.kill()
        self.process.wait()
        if forget:
            for path in sorted((self.folder / "data").rglob("*"), reverse=True):
                path.unlink() if path.is_file() else path.rmdir()
