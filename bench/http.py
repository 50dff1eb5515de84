"""The HTTP door beside its peers, doing the same checks for the same requests.

CPU per request of the proxy process alone (user and system time, /proc), one thread each, 64 keep-alive
connections from wrk, nginx behind it all. The checks: signature, issuer, audience, expiry, organization in
the path equal to the token's, permission, and organization known. Audit events are on in Domicile, as in
service. Rounds are interleaved, so that a noisy machine disturbs everybody alike.

HTTP/2, in clear and over TLS, and HTTP/1.1 over TLS are measured beside the same peers (lib_protocols.py).

    ./dev bench http [--check] [--seconds 2] [--rounds 5] [--only warm]
"""

import sys

# This folder holds http.py and token.py, which must not stand in for Python's own modules.
FOLDER = __file__.rpartition("/")[0] or "."
sys.path[:] = [entry for entry in sys.path if entry not in ("", FOLDER)]

import argparse  # noqa: E402
import importlib.util  # noqa: E402
import os  # noqa: E402
import pathlib  # noqa: E402
import shutil  # noqa: E402
import signal  # noqa: E402
import socket  # noqa: E402
import statistics  # noqa: E402
import subprocess  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[1]


def load_lib(name: str):
    spec = importlib.util.spec_from_file_location(f"bench_{name}", ROOT / "bench" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[f"bench_{name}"] = module
    spec.loader.exec_module(module)
    return module


lib = load_lib("lib")

TICK = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def program() -> pathlib.Path:
    if "DOMICILE_BENCH_HTTP" in os.environ:
        return pathlib.Path(os.environ["DOMICILE_BENCH_HTTP"])
    built = [p for p in ROOT.glob("build/*/bench_http") if p.is_file()]
    if not built:
        sys.exit("no bench_http: cmake --preset release && ninja -C build/release bench_http")
    return max(built, key=lambda p: ("release" in str(p), p.stat().st_mtime))


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError(f"nothing listens on {port}")


def cpu_seconds(pid: int) -> float:
    """User and system time of the process with all its threads, to the nanosecond where the kernel says."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


class Peer:
    def __init__(self, name: str, process: subprocess.Popen, port: int, pid: int | None = None):
        self.name, self.process, self.port = name, process, port
        self.pid = pid or process.pid
        self.costs: list[float] = []
        self.rates: list[float] = []

    def stop(self) -> None:
        if self.process.stdin:
            self.process.stdin.close()
        else:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()


def start_nginx(folder: pathlib.Path, name: str, body: str) -> tuple[subprocess.Popen, int]:
    port = free_port()
    conf = folder / f"{name}.conf"
    conf.write_text(f"""
daemon off; worker_processes 1; pid {folder}/{name}.pid; error_log {folder}/{name}.log error;
events {{ worker_connections 2048; }}
http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 600s; default_type application/json;
client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
uwsgi_temp_path {folder}; scgi_temp_path {folder};
{body.replace("PORT", str(port))} }}
""")
    process = subprocess.Popen(["/usr/sbin/nginx", "-c", str(conf), "-p", str(folder)],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(port)
    return process, port


def worker_of(process: subprocess.Popen) -> int:
    """nginx's worker, its child; HAProxy works in its first process."""
    if "nginx" not in process.args[0]:
        return process.pid
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:  # the socket is bound before the worker is there
        children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        if children:
            return int(children[0])
        time.sleep(0.02)
    raise RuntimeError("nginx has no worker")


def start_haproxy(folder: pathlib.Path, name: str, upstream: int, rules: str, algorithm: str,
                  bind: str = "") -> tuple:
    port = free_port()
    conf = folder / f"{name}.cfg"
    conf.write_text(f"""
global
    maxconn 2000
    nbthread 1
    tune.bufsize 32768
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    http-reuse always
backend tokens
    stick-table type string len 64 size 100k expire 10m store gpc0
frontend door
    bind 127.0.0.1:{port} {bind}
{rules.replace("ALGORITHM", algorithm).replace("FOLDER", str(folder))}
    default_backend application
backend application
    server one 127.0.0.1:{upstream}
""")
    process = subprocess.Popen(["/usr/sbin/haproxy", "-db", "-f", str(conf)],
                               stdout=subprocess.DEVNULL, stderr=open(folder / f"{name}.err", "w"))
    wait_for(port)
    return process, port


# What Domicile checks, in HAProxy's words. jwt_verify accepts expired tokens, so exp is compared.
CLAIMS = """
    http-request set-var(txn.bearer) http_auth_bearer
    http-request deny deny_status 401 unless { var(txn.bearer) -m found }
    http-request set-var(txn.alg) var(txn.bearer),jwt_header_query('$.alg')
    http-request deny deny_status 401 unless { var(txn.alg) -m str ALGORITHM }
VERIFY
    http-request deny deny_status 401 unless { var(txn.bearer),jwt_payload_query('$.iss') -m str https://ca.test }
    http-request deny deny_status 401 unless { var(txn.bearer),jwt_payload_query('$.aud') -m str domicile }
    http-request set-var(txn.exp) var(txn.bearer),jwt_payload_query('$.exp','int')
    http-request set-var(txn.now) date()
    http-request deny deny_status 401 unless { var(txn.exp),sub(txn.now) -m int gt 0 }
    http-request set-var(txn.org) var(txn.bearer),jwt_payload_query('$.org')
    http-request deny deny_status 403 unless { path,field(3,/),strcmp(txn.org) eq 0 }
    http-request deny deny_status 403 unless { var(txn.bearer),jwt_payload_query('$.scope') -m sub courses:read }
    http-request deny deny_status 403 unless { path,field(3,/),map_str(FOLDER/orgs.map) -m str here }
    http-request set-header Domicile-Organization %[var(txn.org)]
    http-request del-header Authorization
"""
VERIFY = """
    http-request deny deny_status 401 unless { var(txn.bearer),jwt_verify(txn.alg,"FOLDER/public.pem") -m int 1 }
"""
CACHED = """
    http-request set-var(txn.digest) var(txn.bearer),sha2(256),hex
    http-request track-sc0 var(txn.digest) table tokens
    http-request deny deny_status 401 if { sc0_get_gpc0(tokens) eq 0 } !{ var(txn.bearer),jwt_verify(txn.alg,"FOLDER/public.pem") -m int 1 }
    http-request sc-inc-gpc0(0) if { sc0_get_gpc0(tokens) eq 0 }
"""

LUA = """
local tokens, n, at = {}, 0, 0
for line in io.lines("FILE") do
  local org, token = line:match("^(%S+) (%S+)$")
  n = n + 1
  tokens[n] = "GET /orgs/" .. org .. "/courses HTTP/1.1\\r\\nHost: ca.test\\r\\nAuthorization: Bearer " .. token ..
              "\\r\\nUser-Agent: bench\\r\\nAccept: application/json\\r\\n\\r\\n"
end
request = function() at = at % n + 1; return tokens[at] end
response = nil
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %d\\n", summary.requests, e.status,
           e.connect + e.read + e.write + e.timeout, latency:percentile(99)))
end
"""


def load(port: int, script: pathlib.Path, seconds: float) -> tuple[int, int, int, int]:
    out = subprocess.run(["wrk", "-t1", "-c64", f"-d{seconds}s", "-s", str(script),
                          f"http://127.0.0.1:{port}/"], capture_output=True, text=True, check=True).stdout
    line = next(line for line in out.splitlines() if line.startswith("RESULT"))
    return tuple(int(x) for x in line.split()[1:])


def measure(peer: Peer, script: pathlib.Path, seconds: float, out) -> None:
    before = cpu_seconds(peer.pid)
    begun = time.monotonic()
    requests, refused, failed, p99 = load(peer.port, script, seconds)
    spent = cpu_seconds(peer.pid) - before
    took = time.monotonic() - begun
    if refused or failed or not requests:
        raise RuntimeError(f"{peer.name}: {refused} refused, {failed} failed of {requests}")
    peer.costs.append(spent / requests * 1e6)
    peer.rates.append(requests / took)
    print(f"  {peer.name:<28} {peer.costs[-1]:8.2f} us/request  {requests / took:8.0f}/s  p99 {p99} us",
          file=out, flush=True)


class Bench:
    def __init__(self, folder: pathlib.Path, arguments, out):
        self.folder, self.arguments, self.out = folder, arguments, out
        self.processes: list[Peer] = []
        (folder / "orgs.map").write_text("".join(f"{i} here\n" for i in range(1, 1001)))

    def keys(self, algorithm: str) -> None:
        kind = {"RS256": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
                "ES256": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], "EdDSA": ["-algorithm", "ED25519"]}[algorithm]
        key = self.folder / "private.pem"
        subprocess.run(["openssl", "genpkey", *kind, "-out", str(key)], check=True, capture_output=True)
        key.chmod(0o600)
        subprocess.run(["openssl", "pkey", "-in", str(key), "-pubout", "-out", str(self.folder / "public.pem")],
                       check=True, capture_output=True)

    def door(self, name: str, algorithm: str, tokens: int, cache: int, *flags: str) -> Peer:
        file = self.folder / f"{name.replace(' ', '-')}.tokens"
        process = subprocess.Popen(
            [str(program()), "--upstream", f"http://127.0.0.1:{self.upstream_port}", "--tokens", str(file),
             "--audit-directory", str(self.folder / f"audit-{name.replace(' ', '-')}"), "--key",
             str(self.folder / "private.pem"), "--algorithm", algorithm, "--token-count", str(tokens),
             "--cache", str(cache), *flags], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        port = int(process.stdout.readline())
        script = self.folder / "load.lua"
        script.write_text(LUA.replace("FILE", str(file)))
        self.script = script
        return Peer(name, process, port)

    def run(self, title: str, algorithm: str, tokens: int, cache: int, peers: list[str]) -> dict[str, Peer]:
        print(f"{title}: {algorithm}, {tokens} token(s)", file=self.out, flush=True)
        self.keys(algorithm)
        upstream, self.upstream_port = start_nginx(
            self.folder, "upstream", "server { listen 127.0.0.1:PORT; location / { return 200 '{\"ok\":true}'; } }")
        mine = self.door("domicile", algorithm, tokens, cache)
        everybody = {"domicile": mine}
        for name in peers:
            if name == "nginx plain":
                process, port = start_nginx(self.folder, "plain", f"""
upstream application {{ server 127.0.0.1:{self.upstream_port}; keepalive 128; keepalive_requests 1000000000; }}
server {{ listen 127.0.0.1:PORT; location / {{ proxy_pass http://application; proxy_http_version 1.1;
proxy_set_header Connection ""; }} }}""")
                everybody[name] = Peer(name, process, port, worker_of(process))
                continue
            rules = {"haproxy jwt": CLAIMS.replace("VERIFY", VERIFY),
                     "haproxy cached": CLAIMS.replace("VERIFY", CACHED), "haproxy plain": ""}[name]
            process, port = start_haproxy(self.folder, name.replace(" ", "-"), self.upstream_port, rules, algorithm)
            everybody[name] = Peer(name, process, port, worker_of(process))
        try:
            for peer in everybody.values():  # connections, caches, pages; every token once, and half again
                seen = 0
                while seen < (1.5 * tokens if cache > tokens else 1):
                    seen += load(peer.port, self.script, 1)[0]
            for _ in range(self.arguments.rounds):
                for peer in everybody.values():
                    measure(peer, self.script, self.arguments.seconds, self.out)
        finally:
            for peer in everybody.values():
                peer.stop()
            upstream.terminate()
            upstream.wait(10)
        return everybody


def row(name: str, subject: Peer, peer: Peer, bar: float) -> "lib.Row":
    ratios = [a / b for a, b in zip(subject.costs, peer.costs, strict=True)]
    mine, theirs = statistics.median(subject.costs), statistics.median(peer.costs)
    return lib.Row(name, mine / theirs, min(ratios), max(ratios), bar, note=f"{theirs:.1f} -> {mine:.1f} us")


def idle_memory(bench: Bench, out) -> float:
    """Bytes of the door's own memory for each of 5,000 idle connections."""
    upstream, bench.upstream_port = start_nginx(
        bench.folder, "upstream", "server { listen 127.0.0.1:PORT; location / { return 200 'ok'; } }")
    bench.keys("RS256")
    peer = bench.door("idle", "RS256", 1, 1024)

    def resident() -> int:
        text = pathlib.Path(f"/proc/{peer.pid}/smaps_rollup").read_text()
        return int(next(line for line in text.splitlines() if line.startswith("Rss:")).split()[1]) * 1024

    connections = []
    try:
        line = (bench.folder / "idle.tokens").read_text().split()
        request = (f"GET /orgs/{line[0]}/courses HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {line[1]}\r\n\r\n").encode()

        def one() -> socket.socket:
            connection = socket.create_connection(("127.0.0.1", peer.port))
            connection.sendall(request)
            connection.recv(65536)
            return connection

        connections = [one() for _ in range(100)]
        before = resident()
        connections += [one() for _ in range(5000)]
        each = (resident() - before) / 5000
        print(f"idle connection: {each:.0f} bytes of resident memory each", file=out, flush=True)
        return each
    finally:
        for connection in connections:
            connection.close()
        peer.stop()
        upstream.terminate()
        upstream.wait(10)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="warm, cold, many, idle, h2c, h2, tls or idle2")
    arguments = parser.parse_args()
    arguments.seconds = int(arguments.seconds)
    for tool in ("wrk", "h2load", "/usr/sbin/haproxy", "/usr/sbin/nginx", "openssl"):
        if not shutil.which(tool):
            sys.exit(f"{tool} is missing: apt-get install wrk nghttp2-client haproxy nginx-light openssl")
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        bench = Bench(folder, arguments, sys.stderr)

        def wanted(what: str) -> bool:
            return arguments.only in ("", what)

        if wanted("warm"):
            warm = bench.run("warm", "RS256", 1, 16384,
                             ["haproxy jwt", "haproxy cached", "haproxy plain", "nginx plain"])
            mine = warm["domicile"]
            rows += [row("warm cache / haproxy with jwt", mine, warm["haproxy jwt"], 0.30),
                     row("warm cache / haproxy with stick table", mine, warm["haproxy cached"], 0.50),
                     row("warm cache / haproxy plain", mine, warm["haproxy plain"], 0.90),
                     row("warm cache / nginx plain", mine, warm["nginx plain"], None)]
        if wanted("many"):
            many = bench.run("many", "RS256", 10000, 16384, ["haproxy jwt", "haproxy cached"])
            rows += [row("10,000 tokens / haproxy with jwt", many["domicile"], many["haproxy jwt"], 0.30),
                     row("10,000 tokens / haproxy with stick table", many["domicile"], many["haproxy cached"], 0.50)]
        if wanted("cold"):
            # More tokens than the cache holds, in turn: every request is verified.
            for algorithm, bar in (("RS256", 0.65), ("ES256", 0.85)):
                cold = bench.run("cold", algorithm, 4000, 64, ["haproxy jwt"])
                rows.append(row(f"cold {algorithm} / haproxy with jwt", cold["domicile"], cold["haproxy jwt"], bar))
            # HAProxy 2.6 knows no EdDSA: beside a proxy that checks nothing.
            cold = bench.run("cold", "EdDSA", 4000, 64, ["haproxy plain"])
            rows.append(row("cold EdDSA / haproxy plain", cold["domicile"], cold["haproxy plain"], None))
        if wanted("idle"):
            each = idle_memory(bench, sys.stderr)
            rows.append(lib.Row("idle connection, bytes / 2048", each / 2048, each / 2048, each / 2048, 1.0,
                                note=f"{each:.0f} bytes"))
        rows += load_lib("lib_protocols").rows(sys.modules[__name__], bench, wanted)
    return lib.report(rows, check=arguments.check)


if __name__ == "__main__":
    raise SystemExit(main())
