"""Regions whose reference data is kept in step: real PostgreSQL servers, a registry and nodes that speak mutual TLS.

    with ReferenceWorld() as world:           # ca-central-1 masters, us-east-1 follows
        world.start()
        world.master.execute("UPDATE app.course SET price = 2")
        world.in_step()                       # both sides hold the same rows
"""

import contextlib
import json
import pathlib
import secrets
import shutil
import signal
import subprocess
import tempfile
import time

import psycopg

from support.authority import Authority
from support.domicile import binary, domicile
from support.postgres import Cluster, free_port
from support.reference_schema import CONTENT, REFERENCE, SCHEMA, catalog
from support.registry import Registry

PASSWORD = "reference"
CANADA, US, EUROPE = "ca-central-1", "us-east-1", "eu-west-1"
JURISDICTIONS = {CANADA: "CA", US: "US", EUROPE: "EU"}
SETTINGS = {"wal_level": "logical", "max_wal_senders": "16", "max_replication_slots": "16", "max_slot_wal_keep_size": "1GB",
            "log_min_error_statement": "fatal"}
ROUTES = ('version = 1\n[[route]]\nname = "all"\nmethods = ["GET"]\npath = "/orgs/{org}"\norganization = "path:org"\n'
          'permission = "courses:read"\n')


def eventually(condition, seconds: float, what):
    """The condition's first true value; `what()` says, at the end of the wait, what there is instead."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what()}")
        time.sleep(0.02)
    return found


def quoted(table: str) -> str:
    return 'app."' + table.replace('"', '""') + '"'


class ReferenceRegion:
    """One region's server, database and installation."""

    def __init__(self, world: "ReferenceWorld", name: str, master: bool, settings: dict[str, str] | None = None, schema: str = SCHEMA,
                 fsync: bool = False):
        self.world, self.name, self.master = world, name, master
        self.folder = world.folder / name
        self.folder.mkdir()
        self.login = "publisher" if master else "applier"
        self.cluster = Cluster({**SETTINGS, **(settings or {})}, fsync=fsync)
        with self.cluster.connect() as c:
            c.execute("CREATE ROLE app_owner NOLOGIN")
            for login, attributes in {"installer": "CREATEROLE CREATEDB", "node": "", "pool": "", "publisher": "REPLICATION", "applier": ""}.items():
                c.execute(f"CREATE ROLE {login} LOGIN {attributes} PASSWORD '{PASSWORD}'")
            c.execute("GRANT app_owner TO installer")
        self.cluster.create_database("app", owner="installer")
        with self.connect() as c:
            c.execute(schema)
        self.superuser_file = self.secret("superuser.dsn", self.cluster.dsn("app"))

    def secret(self, name: str, text: str) -> pathlib.Path:
        path = self.folder / name
        path.write_text(text + "\n")
        path.chmod(0o600)
        return path

    def dsn(self, user: str, port: int = 0) -> str:
        """Over TCP through `port`, or from another network over the Unix socket, where the world has such."""
        host = self.cluster.folder if self.world.networks and not port else "127.0.0.1"
        return f"host={host} port={port or self.cluster.port} dbname=app user={user} password={PASSWORD}"

    def connect(self, user: str = "postgres", **kwargs) -> psycopg.Connection:
        return self.cluster.connect("app", user, None if user == "postgres" else PASSWORD, **kwargs)

    def execute(self, sql: str, user: str = "postgres"):
        with self.connect(user) as c:
            c.execute(sql)

    def query(self, sql: str, parameters=None) -> list[tuple]:
        with self.connect() as c:
            return c.execute(sql, parameters).fetchall()

    def one(self, sql: str, parameters=None):
        rows = self.query(sql, parameters)
        return rows[0] if rows else None

    def init(self, text: str | None = None, check: bool = True):
        """`region init` by the catalog's text, and the region opened with what it holds."""
        file = self.folder / "domicile.catalog.toml"
        file.write_text(text or self.world.catalog)
        return domicile("-q", "region", "init", "--dsn", self.dsn("installer"), "--region", self.name, "--catalog", file, "--app-role", "pool",
                        "--node-role", "node", "--reference-role", self.login, "--superuser-dsn-file", self.superuser_file,
                        *(["--master"] if self.master else []), check=check)

    def open(self):
        placements = self.folder / "placements.json"
        placements.write_text(json.dumps({"region": self.name, "revision": 1, "organizations": []}))
        domicile("-q", "region", "reconcile", "--dsn", self.dsn("node"), "--placements", placements)

    def rows(self, table: str) -> list[str]:
        """As text that keeps every difference and no order."""
        return sorted(r[0] for r in self.query(f"SELECT to_jsonb(t)::text FROM {quoted(table)} t"))

    def source(self) -> dict:
        with self.connect(row_factory=psycopg.rows.dict_row) as c:
            return c.execute("SELECT * FROM domicile.reference_source").fetchone()

    def findings(self) -> dict[tuple[str, str], str]:
        """The open ones: (kind, object) -> detail."""
        return {(kind, thing): detail for kind, thing, detail in
                self.query("SELECT kind, object, detail FROM domicile.reference_finding WHERE resolved_at IS NULL")}


class ReferenceNode:
    """The real program beside a region's database. Its files are the test's to change; a change counts from the next start."""

    def __init__(self, region: ReferenceRegion, name: str = "node", host: str = "127.0.0.1"):
        self.region, self.host, self.port = region, host, free_port()
        self.folder = region.folder / name
        self.folder.mkdir()
        self.audit = self.folder / "audit"
        self.config, self.log = self.folder / "node.toml", self.folder / "node.log"
        self.url = f"https://{host}:{self.port}"
        self.process: subprocess.Popen | None = None
        self.prefix: list[str] = []  # what runs the program: a namespace, another clock
        self.environment: dict[str, str] | None = None

    def file(self, name: str, text: str) -> pathlib.Path:
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o600)
        return path

    def write(self, *, database_port: int = 0, reference_port: int = 0, master_url: str = "", compare_at: str = "off", peer: str = "",
              reference_dsn: str = ""):
        """`peer`: the region whose certificate is shown; the ports lead to the database through something of the test's."""
        region, world = self.region, self.region.world
        for folder in ("state", "audit"):
            (self.folder / folder).mkdir(exist_ok=True)
        shown, door = world.peer_certificate(peer or region.name), world.server
        self.file("node.dsn", region.dsn("node", database_port) + "\n")
        self.file("reference.dsn", (reference_dsn or region.dsn(region.login, reference_port)) + "\n")
        self.file("peer.token", world.token + "\n")
        self.file("issuer.key", "ab" * 32 + "\n")
        self.file("routes.toml", ROUTES)
        registry = f'source = "peer"\nurl = "{master_url or world.nodes[world.master.name].url}"\n'
        if region.master:
            registry = 'source = "postgresql"\ndsn_file = "registry.dsn"\n'
            self.file("registry.dsn", world.registry.reader_file.read_text().replace("host=127.0.0.1", f"host={region.cluster.folder}")
                      if world.networks else world.registry.reader_file.read_text())
        self.file("node.toml", f"""[node]
region = "{region.name}"
state_directory = "state"
[http]
listen = "{self.host}:{self.port}"
certificate = "{door.path}"
key = "{door.key_path}"
loops = 1
[database]
dsn_file = "node.dsn"
[registry]
{registry}
[reference]
dsn_file = "reference.dsn"
compare_at = "{compare_at}"
[peers]
token_file = "peer.token"
ca_file = "{world.authority.path}"
certificate = "{shown.path}"
key = "{shown.key_path}"
client_ca = "{world.authority.path}"
[issuer]
url = "{self.url}"
key_file = "issuer.key"
[gateway]
routes = "routes.toml"
upstream = "127.0.0.1:1"
[audit]
directory = "audit"
""")
        return self

    def start(self, ready: bool = True):
        with open(self.log, "a") as log:
            self.process = subprocess.Popen([*self.prefix, str(binary()), "serve", "--config", str(self.config)], stdout=log, stderr=log,
                                            env=self.environment)
        if ready:
            eventually(lambda: self.process.poll() is not None or self.is_ready(), 40,
                       lambda: f"the node of {self.region.name} is ready:\n{self.text()[-3000:]}")
            assert self.process.poll() is None, self.text()

    def is_ready(self) -> bool:
        done = subprocess.run([*self.prefix, "curl", "-sS", "--max-time", "5", "--cacert", str(self.region.world.authority.path), "-o", "/dev/null", "-w",
                               "%{http_code}", f"{self.url}/readyz"], text=True, capture_output=True)
        return done.stdout == "200"

    def text(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self):
        if self.running():
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(20)

    def stop(self):
        if self.running():
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()

    def events(self) -> list[dict]:
        done = domicile("--output", "json", "audit", "list", self.audit)
        return [json.loads(line) for line in done.stdout.splitlines()]


class ReferenceWorld:
    """The first region is the master's."""

    def __init__(self, names: tuple[str, ...] = (CANADA, US), settings: dict[str, dict[str, str]] | None = None, schema: str = SCHEMA,
                 catalog_text: str | None = None, content: str = CONTENT, tables: list[str] | None = None,
                 networks: dict[str, object] | None = None, fsync: bool = False):
        """`networks`: the side (two_networks.Side) that each region's node runs in."""
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="domicile-reference-", dir="/tmp"))
        self.folder.chmod(0o755)
        self.catalog, self.tables = catalog_text or catalog(), tables or REFERENCE
        self.token, self.networks = secrets.token_hex(32), networks or {}
        self.regions: dict[str, ReferenceRegion] = {}
        self.nodes: dict[str, ReferenceNode] = {}
        self.extra: list[ReferenceNode] = []
        self.issued: dict[str, object] = {}
        try:
            self.authority = Authority(self.folder, "authority")
            self.server = self.authority.issue("door", purpose="server",
                                               addresses=("127.0.0.1", *(side.address for side in self.networks.values())))
            for name in names:
                self.regions[name] = ReferenceRegion(self, name, name == names[0], (settings or {}).get(name), schema, fsync)
            self.master = self.regions[names[0]]
            self.replicas = [self.regions[name] for name in names[1:]]
            self.replica = self.replicas[0] if self.replicas else None
            if content:
                self.master.execute(content)
            for region in self.regions.values():
                region.init()
                region.open()
                side = self.networks.get(region.name)
                self.nodes[region.name] = ReferenceNode(region, host=side.address if side else "127.0.0.1")
                self.nodes[region.name].prefix = side.run if side else []
            self._registry()
            for node in self.nodes.values():
                node.write()
        except BaseException:
            self.drop()
            raise

    def _registry(self):
        self.registry = Registry(self.master.cluster)
        text = "".join(f'[[jurisdiction]]\nid = "{JURISDICTIONS[name]}"\nlocations = ["{name}"]\n' for name in self.regions)
        for name, region in self.regions.items():
            text += (f'[[region]]\nid = "{name}"\njurisdiction = "{JURISDICTIONS[name]}"\nurl = "{self.nodes[name].url}"\n'
                     + ("master = true\n" if region.master else ""))
        self.registry.regions_file.write_text(text)
        self.registry.init()

    def peer_certificate(self, region: str):
        if region not in self.issued:
            self.issued[region] = self.authority.issue(f"peer-{region}", regions=(region,))
        return self.issued[region]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.drop()

    def drop(self):
        for node in [*self.nodes.values(), *self.extra]:
            with contextlib.suppress(Exception):
                node.kill()
        for region in self.regions.values():
            if hasattr(region, "cluster"):
                region.cluster.drop()
        if hasattr(self, "registry"):
            shutil.rmtree(self.registry.folder, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    # ---- what tests wait for and look at ----------------------------------------------------------

    @property
    def publisher(self) -> ReferenceNode:
        return self.nodes[self.master.name]

    @property
    def applier(self) -> ReferenceNode:
        return self.nodes[self.replica.name]

    def start(self):
        for node in self.nodes.values():
            node.start()
        self.caught_up(seconds=60)

    def organization(self, key: str, region: str):
        """Creates it in the registry, and waits until its home region's database holds it."""
        self.registry.org("create", key, "--slug", f"org-{key}", "--region", region, "--no-wait")
        eventually(lambda: self.regions[region].one("SELECT 1 FROM domicile.organizations() WHERE key = %s AND homed", [key]) is not None, 30,
                   lambda: f"{key} is homed in {region}: {self.nodes[region].text()[-2000:]}")

    def caught_up(self, replica: ReferenceRegion | None = None, seconds: float = 30):
        """Until everything that is committed in the master by now is stored in the replica(s)."""
        (lsn,) = self.master.one("SELECT pg_current_wal_insert_lsn()::text")
        for region in [replica] if replica else self.replicas:
            eventually(lambda r=region: self._reached(r, lsn), seconds, self._told(region, f"{region.name} has everything up to {lsn}"))

    @staticmethod
    def _reached(region: ReferenceRegion, lsn: str) -> bool:
        with contextlib.suppress(psycopg.OperationalError):
            return region.one("SELECT position >= %s::pg_lsn AND state = 'streaming' FROM domicile.reference_source", [lsn])[0]
        return False

    def _told(self, region: ReferenceRegion, what: str):
        def tell():
            with contextlib.suppress(psycopg.Error):
                what_is = "\n".join(f"{k} = {v}" for k, v in region.source().items())
                return f"{what}; {region.name} is:\n{what_is}\n{region.findings()}\n{self.nodes[region.name].text()[-3000:]}"
            return f"{what}; the database of {region.name} does not answer"
        return tell

    def in_step(self, replica: ReferenceRegion | None = None, seconds: float = 30, tables: list[str] | None = None):
        """Caught up, and every reference table holds the same rows on both sides."""
        self.caught_up(replica, seconds)
        for table in tables or self.tables:
            wanted = self.master.rows(table)
            for region in [replica] if replica else self.replicas:
                found = region.rows(table)
                assert found == wanted, (f"{table} in {region.name}: {len(found)} rows, {len(wanted)} in the master; "
                                         f"missing {[r for r in wanted if r not in set(found)][:3]}, too many {[r for r in found if r not in set(wanted)][:3]}")

    def applied_once(self, region: ReferenceRegion | None = None):
        """Each row of app.ledger came once: what was inserted was inserted once, and nothing was touched twice."""
        region = region or self.replica
        twice = region.query("SELECT operation, key, count(*) FROM app.applied GROUP BY 1, 2 HAVING count(*) > 1")
        assert twice == [], twice

    def resync(self, region: ReferenceRegion | None = None, seconds: float = 60):
        """Orders a copy of everything, and waits until it is done."""
        region = region or self.replica
        region.execute("SELECT domicile.resync_reference()", "node")
        eventually(lambda: region.one("SELECT NOT resync AND state = 'streaming' FROM domicile.reference_source")[0], seconds,
                   self._told(region, "everything is copied anew"))

    def finding(self, kind: str, region: ReferenceRegion | None = None, seconds: float = 30) -> tuple[str, str]:
        """Waits for an open finding of this kind: its object and detail."""
        region = region or self.replica

        def found():
            return [(thing, detail) for (k, thing), detail in region.findings().items() if k == kind]
        return eventually(found, seconds, self._told(region, f"a finding {kind} in {region.name}"))[0]

    def state(self, wanted: str, region: ReferenceRegion | None = None, seconds: float = 30, reason: str = "") -> dict:
        region = region or self.replica

        def there():
            with contextlib.suppress(psycopg.OperationalError):
                source = region.source()
                return source["state"] == wanted and (not reason or source["reason"] == reason) and source
        return eventually(there, seconds, self._told(region, f"{region.name} is {wanted} {reason}"))
