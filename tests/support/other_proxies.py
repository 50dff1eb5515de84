"""The proxies of deploy/ as real programs, with the files as they are shipped: only addresses, ports, the token and the
paths of the files are put in."""

import os
import pathlib
import shutil
import socket
import subprocess

import pytest

from support.domicile import ROOT
from support.local_regions import wait_until
from support.postgres import free_port

TOKEN = "0123456789abcdef0123456789abcdef"


def listens(port: int) -> bool:
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def shipped(path: str, *changes: tuple[str, str]) -> str:
    """The text of a file under deploy/; a change that changes nothing is an error."""
    text = (ROOT / "deploy" / path).read_text()
    for old, new in changes:
        assert old in text, (path, old)
        text = text.replace(old, new)
    return text


class Proxy:
    """Started by the subclass with self.start(); self.port is where it listens."""

    statuses_pass = True  # a refusal's own status reaches the client

    def __init__(self, folder: pathlib.Path, node_port: int, application_port: int, ca: pathlib.Path):
        self.folder, self.node, self.application, self.ca = folder, node_port, application_port, ca
        self.port = free_port()
        self.log = open(folder / "proxy.log", "w+")

    def start(self, command: list, **environment):
        if not shutil.which(str(command[0])):
            pytest.skip(f"no {command[0]}: ./dev setup")
        self.process = subprocess.Popen([str(part) for part in command], stdout=self.log, stderr=self.log,
                                        env={**os.environ, **environment})
        wait_until(lambda: self.process.poll() is not None or listens(self.port), 10, "the proxy listens")
        assert self.process.poll() is None, open(self.log.name).read()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
        self.log.close()


class Nginx(Proxy):
    MAIN = """{user} daemon off; error_log {folder}/error.log info; pid {folder}/nginx.pid;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fcgi; uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  include {folder}/domicile.conf;
}}
"""

    def __init__(self, *where):
        super().__init__(*where)
        (self.folder / "domicile.conf").write_text(shipped(
            "nginx/domicile.conf", ("server ca.example.com:8443", f"server 127.0.0.1:{self.node}"), ("ca.example.com", "localhost"),
            ("127.0.0.1:8000", f"127.0.0.1:{self.application}"), ("127.0.0.1:8080", f"127.0.0.1:{self.port}"),
            ("/etc/nginx/domicile-token.conf", f"{self.folder}/token.conf"), ("/etc/nginx/domicile-ca.pem", str(self.ca))))
        (self.folder / "token.conf").write_text(f'proxy_set_header Domicile-Proxy-Token "{TOKEN}";\n')
        (self.folder / "nginx.conf").write_text(self.MAIN.format(folder=self.folder, user="user root;" if os.geteuid() == 0 else ""))
        self.start(["/usr/sbin/nginx", "-c", self.folder / "nginx.conf", "-e", self.folder / "error.log"])


class HaProxy(Proxy):
    """Finds the node by DNS alone, and checks its certificate for a DNS name: the address stands as one there."""

    def __init__(self, *where):
        super().__init__(*where)
        (self.folder / "token").write_text(TOKEN + "\n")
        (self.folder / "haproxy.cfg").write_text(shipped(
            "haproxy/haproxy.cfg", ("ca.example.com:8443", f"127.0.0.1:{self.node}"), ("127.0.0.1:8000", f"127.0.0.1:{self.application}"),
            ("127.0.0.1:8080", f"127.0.0.1:{self.port}"), ("/etc/haproxy/domicile.lua", str(ROOT / "deploy/haproxy/domicile.lua")),
            ("/etc/haproxy/domicile.token", f"{self.folder}/token"), ("/etc/haproxy/domicile-ca.pem", str(self.ca))))
        self.start(["/usr/sbin/haproxy", "-db", "-f", self.folder / "haproxy.cfg"])


class Caddy(Proxy):
    def __init__(self, *where):
        super().__init__(*where)
        (self.folder / "Caddyfile").write_text("{\n\tadmin off\n}\n" + shipped(
            "caddy/Caddyfile", ("ca.example.com:8443", f"127.0.0.1:{self.node}"), ("ca.example.com", "localhost"),
            ("reverse_proxy 127.0.0.1:8000", f"reverse_proxy 127.0.0.1:{self.application}"), ("http://:8080", f"http://:{self.port}"),
            ("/etc/caddy/domicile-ca.pem", str(self.ca))))
        self.start(["/usr/bin/caddy", "run", "--config", self.folder / "Caddyfile", "--adapter", "caddyfile"],
                   DOMICILE_PROXY_TOKEN=TOKEN, XDG_DATA_HOME=str(self.folder), XDG_CONFIG_HOME=str(self.folder), HOME=str(self.folder))


PROXIES = {"nginx": Nginx, "haproxy": HaProxy, "caddy": Caddy}
