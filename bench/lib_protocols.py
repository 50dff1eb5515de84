"""What bench/http.py measures beyond HTTP/1.1 in clear: HTTP/2 by prior knowledge and over TLS (h2load, one
thread, 8 connections of 8 streams), HTTP/1.1 over TLS (wrk), and what an idle HTTP/2 connection holds. The same
request with a valid token as in the warm case; nginx and HAProxy do what they can: plain proxying, and HAProxy its
token checks as well. Upstreams speak HTTP/1.1. No bars: these are measured to be known."""

import pathlib
import re
import socket
import subprocess
import sys
import time

DONE = re.compile(r"requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed")
RATE = re.compile(r"([\d.]+) req/s")


def certificate(folder: pathlib.Path) -> None:
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", str(folder / "door.key"), "-out", str(folder / "door.pem"), "-days", "2", "-subj",
                    "/CN=localhost"], check=True, capture_output=True)
    (folder / "door.key").chmod(0o600)
    (folder / "both.pem").write_text((folder / "door.pem").read_text() + (folder / "door.key").read_text())


class H2Load:
    def __init__(self, scheme: str, organization: str, token: str):
        self.scheme, self.organization, self.token = scheme, organization, token

    def __call__(self, port: int, seconds: int) -> tuple[int, int, float]:
        """(succeeded, failed, requests a second)"""
        out = subprocess.run(["h2load", "-t1", "-c8", "-m8", f"-D{seconds}", "-H", f"authorization: Bearer {self.token}",
                              "-H", "accept: application/json",
                              f"{self.scheme}://localhost:{port}/orgs/{self.organization}/courses"],
                             capture_output=True, text=True, check=True).stdout
        done, succeeded, failed = (int(x) for x in DONE.search(out).groups())
        if not succeeded or failed:
            raise RuntimeError(out)
        return succeeded, failed + done - succeeded, float(RATE.search(out).group(1))


class Wrk:
    def __init__(self, script: pathlib.Path):
        self.script = script

    def __call__(self, port: int, seconds: int) -> tuple[int, int, float]:
        out = subprocess.run(["wrk", "-t1", "-c64", f"-d{seconds}s", "-s", str(self.script), f"https://localhost:{port}/"],
                             capture_output=True, text=True, check=True).stdout
        requests, refused, failed, _ = (int(x) for x in
                                        next(x for x in out.splitlines() if x.startswith("RESULT")).split()[1:])
        return requests, refused + failed, requests / seconds


def peers(http, bench, nginx_listen: str, haproxy_bind: str) -> dict:
    """The proxies beside us, listening as told."""
    secure = f"ssl_certificate {bench.folder}/door.pem; ssl_certificate_key {bench.folder}/door.key;"
    process, port = http.start_nginx(bench.folder, "plain", f"""
upstream application {{ server 127.0.0.1:{bench.upstream_port}; keepalive 128; keepalive_requests 1000000000; }}
server {{ listen 127.0.0.1:PORT {nginx_listen}; {secure if "ssl" in nginx_listen else ""} http2_max_requests 1000000000;
location / {{ proxy_pass http://application; proxy_http_version 1.1; proxy_set_header Connection ""; }} }}""")
    found = {"nginx plain": http.Peer("nginx plain", process, port, http.worker_of(process))}
    for name, rules in (("haproxy plain", ""), ("haproxy jwt", http.CLAIMS.replace("VERIFY", http.VERIFY)),
                        ("haproxy cached", http.CLAIMS.replace("VERIFY", http.CACHED))):
        process, port = http.start_haproxy(bench.folder, name.replace(" ", "-"), bench.upstream_port, rules, "RS256",
                                           haproxy_bind)
        found[name] = http.Peer(name, process, port, http.worker_of(process))
    return found


def measure(http, peer, load, seconds: int, out) -> None:
    before = http.cpu_seconds(peer.pid)
    succeeded, failed, rate = load(peer.port, seconds)
    spent = http.cpu_seconds(peer.pid) - before
    if failed or not succeeded:
        raise RuntimeError(f"{peer.name}: {failed} failed, {succeeded} succeeded")
    peer.costs.append(spent / succeeded * 1e6)
    peer.rates.append(rate)
    print(f"  {peer.name:<28} {peer.costs[-1]:8.2f} us/request  {rate:8.0f}/s", file=out, flush=True)


def compare(http, bench, title: str, nginx_listen: str, haproxy_bind: str, secure: bool, h2: bool) -> list:
    out = sys.stderr
    print(f"{title}: RS256, 1 token", file=out, flush=True)
    bench.keys("RS256")
    certificate(bench.folder)
    upstream, bench.upstream_port = http.start_nginx(
        bench.folder, "upstream", "server { listen 127.0.0.1:PORT; location / { return 200 '{\"ok\":true}'; } }")
    flags = ["--certificate", f"{bench.folder}/door.pem", "--certificate-key", f"{bench.folder}/door.key"]
    mine = bench.door("domicile", "RS256", 1, 16384, *(flags if secure else []))
    everybody = {"domicile": mine, **peers(http, bench, nginx_listen, haproxy_bind)}
    organization, token = (bench.folder / "domicile.tokens").read_text().split()
    load = H2Load("https" if secure else "http", organization, token) if h2 else Wrk(bench.script)
    try:
        for peer in everybody.values():
            load(peer.port, 1)
        for _ in range(bench.arguments.rounds):
            for peer in everybody.values():
                measure(http, peer, load, bench.arguments.seconds, out)
    finally:
        for peer in everybody.values():
            peer.stop()
        upstream.terminate()
        upstream.wait(10)
    return [http.row(f"{title} / {name.replace('jwt', 'with jwt').replace('cached', 'with stick table')}", mine, peer,
                     None) for name, peer in everybody.items() if name != "domicile"]


def idle_memory(http, bench) -> float:
    """Bytes of the door's own memory for each of 2,000 idle HTTP/2 connections that have asked once."""
    sys.path.append(str(http.ROOT / "tests"))
    from support.http2 import Http2Socket

    upstream, bench.upstream_port = http.start_nginx(
        bench.folder, "upstream", "server { listen 127.0.0.1:PORT; location / { return 200 'ok'; } }")
    bench.keys("RS256")
    peer = bench.door("idle2", "RS256", 1, 1024)
    organization, token = (bench.folder / "idle2.tokens").read_text().split()
    connections = []

    def more(count: int) -> int:
        for _ in range(count):
            client = Http2Socket(socket.create_connection(("127.0.0.1", peer.port)))
            assert client.answer(client.request(f"/orgs/{organization}/courses".encode(), token))[0] == 200
            connections.append(client)
        time.sleep(0.2)
        text = pathlib.Path(f"/proc/{peer.pid}/smaps_rollup").read_text()
        return int(next(line for line in text.splitlines() if line.startswith("Rss:")).split()[1]) * 1024

    try:
        before = more(100)
        each = (more(2000) - before) / 2000
        print(f"idle HTTP/2 connection: {each:.0f} bytes of resident memory each", file=sys.stderr, flush=True)
        return each
    finally:
        for client in connections:
            client.connection.close()
        peer.stop()
        upstream.terminate()
        upstream.wait(10)


def rows(http, bench, wanted) -> list:
    found = []
    both = f"ssl crt {bench.folder}/both.pem"
    if wanted("h2c"):
        found += compare(http, bench, "h2c", "http2", "proto h2", secure=False, h2=True)
    if wanted("h2"):
        found += compare(http, bench, "h2 over TLS", "ssl http2", f"{both} alpn h2", secure=True, h2=True)
    if wanted("tls"):
        found += compare(http, bench, "HTTP/1.1 over TLS", "ssl", f"{both} alpn http/1.1", secure=True, h2=False)
    if wanted("idle2"):
        each = idle_memory(http, bench)
        found.append(http.lib.Row("idle HTTP/2 connection, bytes / 2048", each / 2048, each / 2048, each / 2048, None,
                                  note=f"{each:.0f} bytes"))
    return found
