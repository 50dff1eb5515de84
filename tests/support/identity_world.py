"""Two real regions with people in them, for tests of signing in."""

import http.client
import json
import pathlib
import re
import ssl
import tempfile
import urllib.parse

import jwt
from support.domicile import domicile
from support.local_regions import LEARNING, LocalRegions, free_port, wait_until

CANADA, US = "ca-central-1", "us-east-1"
PASSWORD = "correct horse battery"


def own_ports(folder: pathlib.Path, region_lines: dict[str, str]) -> pathlib.Path:
    """The learning platform's regions on ports of our own: other tests may run beside this one."""
    text = LEARNING.read_text()
    for name in ("schema", "catalog", "routes", "roles"):
        text = re.sub(rf'^{name} = "(.*)"$', lambda m: f'{name} = "{LEARNING.parent / m[1]}"', text, flags=re.M)
    text = re.sub(r"^files = \[(.*)\]$", lambda m: "files = [" + ", ".join(
        f'"{LEARNING.parent / f}"' for f in re.findall(r'"(.*?)"', m[1])) + "]", text, flags=re.M)
    for region in (CANADA, US):
        ports = "".join(f"{name}_port = {free_port()}\n" for name in ("door", "application", "postgresql"))
        text = text.replace(f"[region.{region}]\n", f"[region.{region}]\n{ports}{region_lines.get(region, '')}\n")
    config = folder / "regions.toml"
    config.write_text(text)
    return config


class World:
    def __init__(self, region_lines: dict[str, str] | None = None):
        self.folder = tempfile.TemporaryDirectory(prefix="domicile-identity-")
        self.local = LocalRegions(own_ports(pathlib.Path(self.folder.name), region_lines or {}))
        try:
            self.local.up()
            self._people()
        except BaseException:
            self.local.drop()
            raise

    def _people(self):
        self.status = {r["id"]: r for r in self.local.status()["regions"]}
        self.tls = ssl.create_default_context(cafile=str(self.local.data / "ca.pem"))
        registry = self.status[CANADA]["dsn_files"]["registry"]
        for key, slug, region in (("101", "maple", CANADA), ("102", "birch", CANADA), ("201", "liberty", US)):
            domicile("org", "create", key, "--slug", slug, "--region", region, "--registry-dsn-file", registry)
        for key, region in (("101", CANADA), ("102", CANADA), ("201", US)):
            wait_until(lambda k=key, r=region: self.homed(r, k), 30, f"{key} homed in {region}")
        for region in (CANADA, US):
            self.cli(region, "client", "create", "--id", "web")
        self.ann = json.loads(self.add_user(CANADA, "101", "ann", "instructor").stdout)["id"]
        self.add_user(US, "201", "sam", "instructor")
        for slug, region in (("maple", CANADA), ("birch", CANADA)):
            wait_until(lambda s=slug, r=region: self.discover(r, organization=s)[1].get("region") == r, 15, "the snapshot has it")

    def homed(self, region: str, key: str) -> bool:
        with self.local.superuser(region) as db:
            return db.execute("SELECT 1 FROM domicile.organizations() WHERE key = %s AND homed", [key]).fetchone() is not None

    def cli(self, region: str, *arguments, stdin=None, check=True):
        return domicile("--output", "json", *arguments, "--dsn-file", self.status[region]["dsn_files"]["node"], stdin=stdin, check=check)

    def add_user(self, region: str, key: str, login: str, *roles):
        return self.cli(region, "user", "create", "--org", key, "--login", login, "--password-file", "-",
                        *[x for r in roles for x in ("--role", r)], stdin=PASSWORD + "\n")

    def url(self, region: str) -> str:
        return self.status[region]["url"]

    def send(self, region: str, method: str, path: str, body: bytes | None = None, headers: dict | None = None):
        """`region`, or the address of one of its nodes."""
        parts = urllib.parse.urlsplit(region if region.startswith("https://") else self.url(region))
        connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=20, context=self.tls)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            text = answer.read()
            json_body = "json" in answer.headers.get("content-type", "")
            return answer.status, json.loads(text) if json_body else {}, {k.lower(): v for k, v in answer.getheaders()}
        finally:
            connection.close()

    def token(self, region: str = CANADA, headers=None, **form):
        return self.send(region, "POST", "/oauth2/token", urllib.parse.urlencode(form).encode(),
                         {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})})

    def sign_in(self, region: str = CANADA, organization="maple", username="ann", password=PASSWORD, **more):
        return self.token(region, grant_type="password", client_id="web", organization=organization, username=username,
                          password=password, **more)

    def refresh(self, token: str, region: str = CANADA):
        return self.token(region, grant_type="refresh_token", client_id="web", refresh_token=token)

    def discover(self, region: str, **question):
        return self.send(region, "POST", "/v1/discovery", json.dumps(question).encode(), {"Content-Type": "application/json"})

    def jwks(self, region: str = CANADA) -> dict:
        return self.send(region, "GET", "/.well-known/jwks.json")[1]

    def believe(self, token: str, region: str = CANADA) -> dict:
        """The claims, as an independent library reads and checks them."""
        header = jwt.get_unverified_header(token)
        key = next(k for k in self.jwks(region)["keys"] if k["kid"] == header["kid"])
        return jwt.decode(token, jwt.PyJWK(key, key["alg"]).key, algorithms=[key["alg"]], audience="domicile",
                          issuer=self.url(region), options={"require": ["exp", "nbf", "iat", "iss", "sub", "jti"]})

    def node(self, region: str) -> pathlib.Path:
        return self.local.data / "regions" / region / "node"

    def persons(self, region: str) -> list[dict]:
        """The events with persons in them; that they were read becomes an event."""
        done = domicile("--output", "json", "audit", "list", self.node(region) / "audit", "--open", "--config",
                        self.node(region) / "node.toml")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def events(self, region: str) -> list[dict]:
        folder = self.node(region) / "audit"
        done = domicile("--output", "json", "audit", "list", folder)
        return [json.loads(line) for line in done.stdout.splitlines()]
