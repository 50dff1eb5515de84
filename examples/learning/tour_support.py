"""What the tour stands on: the command line, the doors over HTTPS, and a ledger of expectations."""

import base64
import http.client
import json
import os
import pathlib
import ssl
import subprocess
import sys
import time
import urllib.parse

import psycopg

CANADA, US = "ca-central-1", "us-east-1"


class Tour:
    """Says what is tried, what is expected and what happened; counts what held."""

    def __init__(self):
        self.lines: list[tuple[str, str, str, str, bool]] = []
        self.section = ""
        plain = not sys.stdout.isatty() or os.environ.get("NO_COLOR")
        self.green, self.red, self.bold, self.off = ("",) * 4 if plain else ("\033[32m", "\033[31m", "\033[1m", "\033[0m")

    def chapter(self, title: str, text: str = ""):
        self.section = title
        print(f"\n{self.bold}{title}{self.off}" + (f"\n  {text}" if text else ""), flush=True)

    def expect(self, what: str, expected, got, held: bool | None = None) -> bool:
        held = expected == got if held is None else held
        self.lines.append((self.section, what, str(expected), str(got), held))
        mark = f"{self.green}✓{self.off}" if held else f"{self.red}✗{self.off}"
        print(f"  {mark} {what}")
        print(f"      {'got' if held else 'expected ' + str(expected) + ', got'} {shorten(str(got))}", flush=True)
        return held

    def say(self, text: str):
        print(f"    {text}", flush=True)

    @property
    def failed(self) -> int:
        return sum(not held for *_, held in self.lines)

    def write_summary(self, path: pathlib.Path):
        text = [f"# The tour of {time.strftime('%Y-%m-%d %H:%M:%S UTC', time.gmtime())}", "",
                f"{len(self.lines) - self.failed} of {len(self.lines)} expectations held.", ""]
        section = None
        for part, what, expected, got, held in self.lines:
            if part != section:
                section = part
                text += ["", f"## {part}", "", "| | tried | expected | got |", "|---|---|---|---|"]
            cells = [c.replace("|", "\\|").replace("\n", " ") for c in (what, expected, shorten(got))]
            text.append(f"| {'✓' if held else '✗'} | " + " | ".join(cells) + " |")
        path.write_text("\n".join(text) + "\n")


def shorten(text: str, most: int = 200) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else text[:most - 1] + "…"


class Answer:
    def __init__(self, status: int, headers: dict, body: bytes):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self) -> dict:
        try:
            return json.loads(self.body)
        except ValueError:
            return {}

    @property
    def reason(self) -> str:
        return self.json.get("reason", "")

    def __str__(self):
        return f"{self.status} {self.reason or shorten(self.body.decode('utf-8', 'replace'), 120)}".strip()


class Client:
    """Speaks to a door (or, with http://, straight to an application). Follows no redirect."""

    def __init__(self, ca_file: str):
        self.tls = ssl.create_default_context(cafile=ca_file)

    def send(self, method: str, url: str, *, token: str = "", body=None, form=None, headers=None) -> Answer:
        parts = urllib.parse.urlsplit(url)
        sent = {"Accept": "application/json", **(headers or {})}
        data = None
        if token:
            sent["Authorization"] = "Bearer " + token
        if form is not None:
            data = urllib.parse.urlencode(form).encode()
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        elif body is not None:
            data = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        kind = {"context": self.tls} if parts.scheme == "https" else {}
        connection_type = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = connection_type(parts.hostname, parts.port, timeout=20, **kind)
        try:
            connection.request(method, parts.path + ("?" + parts.query if parts.query else ""), data, sent)
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()


class Domicile:
    """The real command line."""

    def __init__(self, binary: str, data: str | None):
        self.binary = binary
        self.data = ["--data", data] if data else []

    def run(self, *arguments, stdin: str | None = None) -> subprocess.CompletedProcess:
        return subprocess.run([self.binary, *map(str, arguments)], text=True, capture_output=True, input=stdin, timeout=300)

    def json(self, *arguments, stdin: str | None = None):
        done = self.run("--output", "json", *arguments, stdin=stdin)
        if done.returncode != 0:
            raise SystemExit(f"domicile {' '.join(map(str, arguments))} exited {done.returncode}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def status(self) -> dict:
        return self.json("status", *self.data)

    def ensure_organization(self, key: str, slug: str, region: str, registry: list):
        """The operation id makes a second run of the tour the same change, done once."""
        self.json("org", "create", key, "--slug", slug, "--region", region, "--operation-id", f"tour-create-{key}", *registry)

    def change_organization(self, verb: str, key: str, registry: list):
        self.json("org", verb, key, *registry)

    def ensure_client(self, client: str, dsn_file: str):
        known = self.json("client", "list", "--dsn-file", dsn_file)
        if not any(c["id"] == client for c in known):
            self.json("client", "create", "--id", client, "--dsn-file", dsn_file, "--by", "tour")

    def ensure_user(self, key: str, login: str, role: str, password: str, dsn_file: str):
        common = ["--org", key, "--login", login, "--dsn-file", dsn_file, "--by", "tour", "--password-file", "-"]
        known = self.json("user", "list", "--org", key, "--dsn-file", dsn_file)
        if any(u["login"] == login for u in known):
            self.json("user", "set-password", *common, stdin=password + "\n")
        else:
            self.json("user", "create", *common, "--role", role, stdin=password + "\n")


def sql_outcome(connection: psycopg.Connection, *statements) -> str:
    """What the last statement came to: its first value, or SQLSTATE and message."""
    try:
        with connection, connection.transaction():
            for statement in statements:
                text, parameters = statement if isinstance(statement, tuple) else (statement, None)
                cursor = connection.execute(text, parameters)
            if cursor.description:
                return str(cursor.fetchone()[0])
            return f"{cursor.rowcount} rows" if cursor.rowcount >= 0 else (cursor.statusmessage or "done").lower()
    except psycopg.Error as error:
        return f"{error.sqlstate}: {error.diag.message_primary or error}"


def claims_of(token: str) -> dict:
    """What an access token says. Only to show it: whoever relies on a token verifies it."""
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def wait_until(condition, seconds: float, what: str):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise SystemExit(f"tour: not within {seconds:.0f} s: {what}")
        time.sleep(0.1)
    return found
