"""What the lint proposes is followed to the letter: its commands are taken out of the text and typed, the migration
runs where the text says, and the region is armed afterwards."""

import functools
import re
import secrets

import pytest
from support.domicile import domicile, domicile_json
from support.migrations import CASES as ALL
from support.migrations import PLANNED, execute, fill
from support.region import Region

CASES = {case["name"]: case for case in ALL}
WITHIN = "`domicile region maintenance begin"


@pytest.fixture(scope="module")
def region(tmp_path_factory):
    one = Region(tmp_path_factory.mktemp("region"))
    one.write_catalog(tables=PLANNED)
    one.init("--superuser-dsn-file", one.superuser_file(), "--master")
    one.home("7")
    one.home("8")
    fill(one)
    one.init()  # not the master from now on
    yield one
    one.drop()


@functools.cache
def remedies(catalog, case_name: str) -> list[str]:
    case, file = CASES[case_name], catalog.parent / "0001_case.sql"
    file.write_text(";\n".join(case["sql"]) + ";\n")
    extra = [] if case.get("transaction", True) else ["--no-transaction"]
    report = domicile_json("catalog", "check", "--file", catalog, "--migrations", file, "--owner", "app_owner", *extra, check=False)
    return [finding["remedy"] for finding in report["findings"]]


def commands(remedy: str) -> list[list[str]]:
    """The words of each `domicile ...` in it, without the program's own name."""
    return [text.split()[1:] for text in re.findall(r"`(domicile [^`]*)`", remedy)]


class Place:
    """A copy of the region in which the remedy's commands are typed as they stand."""

    def __init__(self, region, folder):
        self.region, self.name = region, "copy_" + secrets.token_hex(4)
        self.catalog = folder / "domicile.catalog.toml"
        self.catalog.write_text(region.catalog_file.read_text())
        self.superuser = folder / "superuser.dsn"
        self.superuser.write_text(region.superuser_file().read_text().replace("dbname=app", f"dbname={self.name}"))
        self.superuser.chmod(0o600)

    def __enter__(self):
        with self.region.cluster.connect() as c:
            c.execute(f"CREATE DATABASE {self.name} TEMPLATE app OWNER installer STRATEGY file_copy")
        return self

    def __exit__(self, *_):
        with self.region.cluster.connect() as c:
            c.execute(f"DROP DATABASE {self.name} WITH (FORCE)")

    def type(self, words, check=True):
        words = [{"TICKET": "OPS-1", "ROLE": "app_owner", "FILE": str(self.superuser)}.get(word, word) for word in words]
        words += {"init": ["--region", "ca", "--catalog", str(self.catalog)], "off": ["--catalog", str(self.catalog)]}.get(words[1], [])
        return domicile("-q", *words, check=check, env={"DOMICILE_DSN": self.region.dsn().replace("dbname=app", f"dbname={self.name}")})

    def migrate(self, case):
        user, password = ("postgres", None) if case.get("as") == "superuser" else ("installer", "secret")
        with self.region.cluster.connect(self.name, user, password) as c:
            execute(c, case)

    def correct(self, table: str, body: str):
        """Another entry for this table, mode and all."""
        head, *entries = self.catalog.read_text().split("\n[[table]]\n")
        changed = [f'name = "{table}"\n{body}\n' if entry.startswith(f'name = "{table}"\n') else entry for entry in entries]
        assert changed != entries
        self.catalog.write_text("\n[[table]]\n".join([head, *changed]))


def test_every_remedy_is_one_of_those_that_are_tested_here(region):
    begins = set()
    for name in CASES:
        for remedy in remedies(region.catalog_file, name):
            begins |= {" ".join(words) for words in commands(remedy) if words[:3] == ["region", "maintenance", "begin"]}
    assert begins == {f"region maintenance begin --ticket TICKET --for 1h {what}" for what in (
        "--allow backfill --role ROLE", "--allow dump --role ROLE", "--allow ddl", "--event-triggers-off --superuser-dsn-file FILE")}


def as_told(sql: str, told: list[str]) -> str:
    """"DELETE instead", and "shared rows (org_id IS NULL) change in the master region alone"."""
    sql = re.sub(r"TRUNCATE (\S+).*", r"DELETE FROM \1", sql)
    shared = next((m[1] for m in (re.search(r"shared rows \((\w+) IS NULL\)", remedy) for remedy in told) if m), None)
    return sql.replace(f"{shared} IS NULL", f"{shared} IS NOT NULL") if shared else sql


@pytest.mark.parametrize("allow", ["backfill", "dump"])
def test_backfills_and_keys_pass_within_the_window(region, tmp_path, allow):
    wanted = {}
    for name, case in CASES.items():
        found = [words for remedy in remedies(region.catalog_file, name) for words in commands(remedy) if allow in words]
        if found and case["says"] == "refused":
            wanted[name] = found[0]
    assert len(wanted) >= 4
    with Place(region, tmp_path) as place:
        place.type(next(iter(wanted.values())))
        failed = {}
        for name in wanted:
            with region.cluster.connect(place.name, "installer", "secret", autocommit=False) as c:
                try:
                    execute(c, {**CASES[name], "sql": [as_told(sql, remedies(region.catalog_file, name)) for sql in CASES[name]["sql"]]})
                except Exception as error:  # noqa: BLE001 - all are shown at once
                    failed[name] = str(error)
                c.rollback()
        place.type(["region", "maintenance", "end"])
    assert not failed


def test_a_key_column_is_renamed_within_the_window(region, tmp_path):
    for name, table, body in (("rename_the_key_column", "app.enrolment", 'class = "organization"\nkey = "tenant_id"'),
                              ("column_of_a_path_renamed", "app.answer", 'class = "organization"\npath = ["parent_id -> app.enrolment"]')):
        (remedy,) = [r for r in remedies(region.catalog_file, name) if WITHIN in r]
        begin, init, end = commands(remedy)
        with Place(region, tmp_path) as place:
            place.type(begin)
            place.migrate(CASES[name])
            place.correct(table, body)
            place.type(init)
            assert "armed: violations() finds nothing" in place.type(end).stdout, name


@pytest.mark.parametrize("name, table, body", [
    ("drop_the_key_column", "app.event", 'class = "system"'),
    ("drop_the_key_column_and_what_hangs_on_it", "app.enrolment", 'class = "system"'),
    ("column_of_a_path_dropped", "app.answer", 'class = "system"'),
    ("key_of_another_type", "app.enrolment", 'class = "organization"\nkey = "org_id"'),
])
def test_a_key_column_is_dropped_or_changed_with_the_guard_off(region, tmp_path, name, table, body):
    case = CASES[name]
    remedy = next(r for r in remedies(region.catalog_file, name) if "`domicile region off" in r)
    off, init = commands(remedy)
    if name == "key_of_another_type":  # to a type that a key may have
        case = {**case, "sql": [case["sql"][0].replace("TYPE text USING org_id::text", "TYPE integer USING org_id::integer")]}
    with Place(region, tmp_path) as place:
        if table == "app.enrolment":  # the path of another table leads over the changed column
            place.type(["region", "off", "--table", "app.answer"])
            place.correct("app.answer", 'class = "organization"\npath = ["enrolment_id -> app.enrolment"]' if "type" in name else 'class = "system"')
        place.type(off)
        place.migrate(case)
        place.correct(table, body)
        place.type(init)
        with place.region.cluster.connect(place.name) as c:
            assert not c.execute("SELECT kind, object, detail FROM domicile.violations() WHERE severity = 'refuse' AND NOT known").fetchall()


def test_event_triggers_go_and_come_back(region, tmp_path):
    remedy = next(r for r in remedies(region.catalog_file, "event_trigger_disabled") if WITHIN in r)
    begin, end = commands(remedy)
    with Place(region, tmp_path) as place:
        place.type(begin)
        with region.cluster.connect(place.name) as c:
            assert c.execute("SELECT count(*) FROM pg_event_trigger").fetchone()[0] == 0
        assert "armed: violations() finds nothing" in place.type(end).stdout
