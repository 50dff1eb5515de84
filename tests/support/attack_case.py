"""The attack corpus as values: tests/attacks/*.toml, one file per family.

A file holds `[[case]]` tables:

  name     a claim in snake_case; with the file's name it is the test's id
  actors   who attacks; the case runs once for each (see ACTORS)
  steps    what is sent. A string is one simple-query message of the actor's session and has to succeed,
           except the last one, which `expect` describes. A table says more:
             as       another actor            session  a session of its own, by name
             sql      the message              bind     parameters (extended protocol)
             prepare / execute                 a protocol-level prepared statement's name
             data     what COPY FROM STDIN reads
             expect   this step's outcome      do       an operation of the harness, see driver
  expect   the last step's outcome:
             ok | any | empty | own (one row at least, column 1 is the attacker's key in each) | a SQLSTATE |
             guarded (23514, or 42704 for an organization that never had a role), or several of these separated by blanks; else rows N | value X | tag INSERT 0 0 [SQLSTATE]
  fresh    true: runs in a database of its own, since it changes definitions
  keys     key types it runs for (default: bigint alone; "all" for the three)
  reported regular expression that a line of domicile.violations() has to match afterwards
  hidden   regular expression that no line of domicile.violations() may match afterwards
  leaks    true: the checker for foreign text is off, since `limit` says what can be seen
  limit    what PostgreSQL cannot close; the case then states the documented truth
  open     a finding that is not closed yet: the expectation stands, the test is a strict expected failure
  open_keys  the key types for which it is not closed, where it is for others
  why      what the attack tries, where the name does not say it

Whatever a case expects, the driver also checks that nothing of the other organization was seen, that its
rows are as before, and that no row of an absent organization was stored.

Words in braces are replaced: {own} {other} {absent} literals of the keys, {own_role} {other_role}
{absent_role}, {own_key} ..., {token} {other_token} contexts of the application door, {slot} a slot
sequence, {database}.
"""

import dataclasses
import pathlib
import re
import tomllib

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "attacks"
ACTORS = {
    "org": "the organization's own role",
    "other_org": "the victim's role",
    "app": "the application's pool role, inside BEGIN and enter()",
    "app_bare": "the application's pool role, without a context",
    "superuser": "the superuser",
    "replica": "the superuser with session_replication_role = replica",
    "installer": "the role that ran region init",
    "owner": "the installer as app_owner, who owns the application's tables",
    "creator": "a role with CREATEROLE and nothing else",
    "node": "a node's run-time role",
    "stranger": "a role named etl_7 with the tenants' table privileges",
    "nobody": "a role with LOGIN and nothing else",
}
FIELDS = {"name", "actors", "steps", "expect", "fresh", "keys", "reported", "hidden", "leaks", "limit", "open", "open_keys", "why"}
STEP_FIELDS = {"as", "session", "sql", "bind", "prepare", "execute", "data", "expect", "do"}
KEY_TYPES = ("bigint", "uuid", "text")
EXPECT = re.compile(r"^(([0-9A-Z]{5}|ok|any|empty|own|guarded)( ([0-9A-Z]{5}|ok|any|empty|own|guarded))*|rows \d+|value .*|tag .+)$",
                    re.S)


@dataclasses.dataclass
class Step:
    sql: str = ""
    actor: str = ""
    session: str = ""
    bind: list | None = None
    prepare: str = ""
    execute: str = ""
    data: str = ""
    expect: str = "ok"
    do: str = ""


@dataclasses.dataclass
class Case:
    family: str
    name: str
    actor: str
    key_type: str
    steps: list[Step]
    fresh: bool
    reported: str
    hidden: str
    leaks: bool
    limit: str
    open: str = ""

    @property
    def id(self) -> str:
        return f"{self.family}-{self.name}-{self.actor}-{self.key_type}"


def _steps(raw: dict, where: str) -> list[Step]:
    steps = []
    for index, item in enumerate(raw["steps"]):
        last = index == len(raw["steps"]) - 1
        fallback = raw.get("expect", "ok") if last else "ok"
        if isinstance(item, str):
            steps.append(Step(sql=item, expect=fallback))
            continue
        unknown = set(item) - STEP_FIELDS
        assert not unknown, f"{where}: unknown step field {unknown}"
        step = Step(sql=item.get("sql", ""), actor=item.get("as", ""), session=item.get("session", ""),
                    bind=item.get("bind"), prepare=item.get("prepare", ""), execute=item.get("execute", ""),
                    data=item.get("data", ""), expect=item.get("expect", fallback), do=item.get("do", ""))
        assert not step.actor or step.actor in ACTORS, f"{where}: actor {step.actor}"
        steps.append(step)
    for step in steps:
        assert EXPECT.match(step.expect), f"{where}: expect {step.expect!r}"
    return steps


def load(key_types: tuple[str, ...] = KEY_TYPES) -> list[Case]:
    cases, ids = [], set()
    for path in sorted(FOLDER.glob("*.toml")):
        for raw in tomllib.loads(path.read_text())["case"]:
            where = f"{path.name}: {raw.get('name')}"
            unknown = set(raw) - FIELDS
            assert not unknown, f"{where}: unknown field {unknown}"
            keys = raw.get("keys", ["bigint"])
            for key_type in KEY_TYPES if keys == "all" else keys:
                for actor in raw.get("actors", ["org"]):
                    assert actor in ACTORS, f"{where}: actor {actor}"
                    case = Case(path.stem, raw["name"], actor, key_type, _steps(raw, where), raw.get("fresh", False),
                                raw.get("reported", ""), raw.get("hidden", ""), raw.get("leaks", False),
                                raw.get("limit", ""), raw.get("open", "") if key_type in raw.get("open_keys", KEY_TYPES) else "")
                    assert case.id not in ids, f"{where}: twice"
                    ids.add(case.id)
                    if key_type in key_types:
                        cases.append(case)
    return cases
