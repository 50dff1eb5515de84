"""The scan against schemas whose truth is known, with real PostgreSQL and the real binary."""

import pathlib
import re
import time
import tomllib

import pytest

from support.domicile import domicile, domicile_json
from support.filler import Filler
from support.large_schema import large_schema

SCHEMAS = pathlib.Path(__file__).resolve().parents[1] / "schemas"
NAMES = sorted(p.name.removesuffix(".truth.toml") for p in SCHEMAS.glob("*.truth.toml"))


def load(cluster, name, data):
    """Most schemas take turns in one database: making and removing eighty costs a minute."""
    kept = name == "learning"  # other tests go on with it
    database = f"scan_{name}_{'rows' if data else 'empty'}" if kept else "scan"
    with cluster.connect() as admin:
        if kept or not admin.execute("SELECT 1 FROM pg_database WHERE datname = 'scan'").fetchone():
            cluster.create_database(database)
    with cluster.connect(database) as connection:
        for (schema,) in connection.execute("SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema$)'").fetchall():
            connection.execute(f'DROP SCHEMA "{schema}" CASCADE')
        connection.execute("CREATE SCHEMA public; GRANT USAGE ON SCHEMA public TO PUBLIC")
        connection.execute((SCHEMAS / f"{name}.sql").read_text())
        rows = SCHEMAS / f"{name}.data.sql"
        if data and rows.exists():
            connection.execute(rows.read_text())
        elif data:
            Filler(connection, truth_of(name)).fill()
    return cluster.dsn(database)


def truth_of(name):
    return tomllib.loads((SCHEMAS / f"{name}.truth.toml").read_text())


def has_rows(name):
    return (SCHEMAS / f"{name}.data.sql").exists() or truth_of(name).get("rows") == "filled"


def bare(name):
    return name.removeprefix("public.").replace('"', "")


def parents(table):
    return [bare(re.match(r".* -> (\S+)", step).group(1)) for step in table.get("path", [])]


def agrees(table, truth):
    """One of the answers that the truth file allows."""
    for answer in truth.split("|"):
        head, *path = [part.strip() for part in answer.split(">")]
        table_class, *column = head.split()
        if table["class"] != table_class:
            continue
        if column and column[0] not in (table.get("key"), table.get("person")):
            continue
        if path and parents(table) != path:
            continue
        return True
    return False


@pytest.mark.parametrize("name, data", [(n, False) for n in NAMES] + [(n, True) for n in NAMES if has_rows(n)],
                         ids=lambda value: {True: "rows", False: "empty"}.get(value, value))
def test_the_scan_finds_the_truth(cluster, tmp_path, name, data):
    truth = truth_of(name)
    dsn, file = load(cluster, name, data), tmp_path / "c.toml"
    found = domicile_json("-q", "catalog", "scan", "--dsn", dsn, "--file", file)
    tables = {bare(t["name"]): t for t in found["tables"]}
    assert set(tables) == {bare(n) for n in truth["tables"]}
    assert found["key_type"] == truth["key_type"]
    assert (bare(found["root"]) if found["root"] else None) == truth.get("root")
    wrong = {n: (tables[bare(n)], t) for n, t in truth["tables"].items() if not agrees(tables[bare(n)], t)}
    # The bar: 95 % of the tables, with and without rows. A question counts by its best guess.
    assert len(wrong) <= 0.05 * len(tables), wrong
    assert not [n for n, (table, _) in wrong.items() if table.get("confidence") != "unsure"], wrong

    # The leak: organization data that would be copied to other regions.
    for table, answer in truth["tables"].items():
        if "reference" not in answer and "mixed" not in answer:
            assert tables[bare(table)]["class"] != "reference", table

    first = file.read_text()
    again = domicile_json("-q", "catalog", "scan", "--dsn", dsn, "--file", file)
    assert again["changes"] == [] and again["written"] is False and file.read_text() == first, "a second scan changes no byte"
    if not data:
        domicile("catalog", "show", "--file", file)

    for table, columns in truth.get("personal", {}).items():
        labels = tables[bare(table)].get("personal", {})
        assert set(labels) >= set(columns), f"{table}: recall"
        assert set(labels) == set(columns), f"{table}: precision"


def test_rows_tell_what_keys_cannot(cluster, tmp_path):
    found = domicile_json("-q", "catalog", "scan", "--dsn", cluster.dsn("scan_learning_rows"), "--file", tmp_path / "c.toml")
    tables = {bare(t["name"]): t for t in found["tables"]}
    findings = {(bare(f["table"]), f["kind"]): f["message"] for f in found["findings"]}
    assert "15 of 120 sampled rows belong to one organization" in findings["enrolments", "two_organizations"]
    assert "Course, Lesson" in findings["comments", "polymorphic"]
    assert tables["question_banks"]["class"] == "mixed" and tables["question_banks"]["confidence"] == "likely"
    assert tables["uploads"]["confidence"] == "unsure"


def test_keys_of_whole_numbers_are_found_by_their_values(cluster, tmp_path):
    """No foreign key, no telling name, no view: only the numbers, and what else the rows say."""
    cluster.create_database("scan_numbers")
    with cluster.connect("scan_numbers") as connection:
        connection.execute("""
            CREATE TABLE company (id int PRIMARY KEY, name text NOT NULL, slug text UNIQUE);
            CREATE TABLE client (id serial PRIMARY KEY, company_id int NOT NULL REFERENCES company, name text);
            CREATE TABLE project (id serial PRIMARY KEY, company_id int NOT NULL REFERENCES company, title text);
            CREATE TABLE bill (id serial PRIMARY KEY, issuer int NOT NULL, client_id int REFERENCES client, net numeric);
            CREATE TABLE voucher (id serial PRIMARY KEY, house int NOT NULL, text text, amount numeric, booked timestamptz);
            CREATE TABLE scrap (id serial PRIMARY KEY, colour int NOT NULL, text text, body text, made timestamptz);
            INSERT INTO company SELECT 7 * i, 'c' || i, 's' || i FROM generate_series(1, 9) i;
            INSERT INTO client (company_id, name) SELECT 7 * (1 + i % 9), 'x' FROM generate_series(1, 60) i;
            INSERT INTO project (company_id, title) SELECT 7 * (1 + i % 9), 'x' FROM generate_series(1, 60) i;
            INSERT INTO bill (issuer, client_id, net) SELECT company_id, CASE WHEN id % 2 = 0 THEN id END, 1 FROM client;
            INSERT INTO voucher (house, text, amount) SELECT 7 * (1 + i % 9), 'x', 1 FROM generate_series(1, 60) i;
            INSERT INTO scrap (colour, text) SELECT 1 + i % 14, 'x' FROM generate_series(1, 60) i""")
    found = domicile_json("-q", "catalog", "scan", "--dsn", cluster.dsn("scan_numbers"), "--file", tmp_path / "c.toml")
    tables = {bare(t["name"]): t for t in found["tables"]}
    assert (tables["bill"]["key"], tables["bill"]["confidence"]) == ("issuer", "likely")
    assert "in another way as well" in " ".join(tables["bill"]["why"])
    assert (tables["voucher"]["key"], tables["voucher"]["confidence"]) == ("house", "likely")
    assert tables["scrap"].get("key", "") == "" and tables["scrap"]["confidence"] == "unsure", "small numbers are everywhere"
    assert found["not_looked_at"] == []


def test_a_view_that_a_migration_holds_is_left_out_and_the_scan_goes_on(cluster, tmp_path):
    cluster.create_database("scan_views")
    with cluster.connect("scan_views") as connection:
        connection.execute((SCHEMAS / "notaria.sql").read_text())
    dsn = cluster.dsn("scan_views")
    read = domicile_json("-q", "catalog", "scan", "--dsn", dsn, "--file", tmp_path / "a.toml")
    invoices = next(t for t in read["tables"] if t["name"] == "public.factura")
    assert invoices["key"] == "oficina_id" and "view public.factura_pendiente" in " ".join(invoices["why"])
    with cluster.connect("scan_views", autocommit=False) as migration:
        migration.execute("LOCK TABLE cobro IN ACCESS EXCLUSIVE MODE")
        held = domicile_json("-q", "catalog", "scan", "--dsn", dsn, "--file", tmp_path / "b.toml", timeout=60)
        migration.rollback()
    invoices = next(t for t in held["tables"] if t["name"] == "public.factura")
    assert "view" not in " ".join(invoices["why"])


def test_what_a_person_decided_stays_byte_for_byte(cluster, tmp_path):
    dsn = cluster.dsn("scan_learning_empty")
    file = tmp_path / "c.toml"
    domicile("-q", "catalog", "scan", "--dsn", dsn, "--file", file)
    text = file.read_text()
    mine = ('# Asked the content team on Tuesday: banks are never shared.\n[[table]]\nname="public.question_banks"\n'
            'class  = "organization" # odd spacing stays\nkey = "organization_id"\n')
    start = text.index('[[table]]\nname = "public.question_banks"')
    end = text.index("[[table]]", start + 5)
    file.write_text(text[:start] + mine + "\n" + text[end:])
    found = domicile_json("-q", "catalog", "scan", "--dsn", dsn, "--file", file)
    tables = {bare(t["name"]): t for t in found["tables"]}
    assert tables["question_banks"]["decided_by"] == "person"
    assert tables["questions"]["class"] == "organization", "what hangs on a decision follows it"
    assert {(bare(c["table"]), c["change"]) for c in found["changes"]} == {("questions", "changed"), ("choices", "changed")}
    assert mine in file.read_text()


def test_a_dry_run_and_bad_input_write_nothing(cluster, tmp_path):
    dsn = cluster.dsn("scan_learning_empty")
    file = tmp_path / "c.toml"
    assert "Dry run" in domicile("-q", "catalog", "scan", "--dsn", dsn, "--file", file, "--dry-run").stdout
    assert not file.exists()
    for arguments, message in [
        (["--dsn", dsn, "--root", "public.nobody"], "there is no table public.nobody"),
        (["--dsn", dsn, "--schema", "nowhere"], 'there is no schema "nowhere"'),
        (["--dsn", dsn, "--key-column", "nothing"], "no table has a column nothing"),
        (["--dsn", "nonsense"], "not a connection string"),
        ([], "no database is named"),
    ]:
        done = domicile("-q", "catalog", "scan", "--file", file, *arguments, check=False, env={"DOMICILE_DSN": ""})
        assert done.returncode == 2 and message in done.stderr, done.stderr
    done = domicile("-q", "catalog", "scan", "--dsn", "host=127.0.0.1 port=1 dbname=x password=hunter2", "--file", file, check=False)
    assert done.returncode == 3 and "hunter2" not in done.stderr + done.stdout
    file.write_text("[catalog]\nversion = 1\nkey_type = \"bigint\"\ncolour = 1\n")
    done = domicile("-q", "catalog", "scan", "--dsn", dsn, "--file", file, check=False)
    assert done.returncode == 2 and 'unknown key "colour"' in done.stderr
    assert "colour" in file.read_text()


def test_the_address_may_come_from_a_private_file_or_the_environment(cluster, tmp_path):
    dsn = cluster.dsn("scan_learning_empty")
    address = tmp_path / "dsn"
    address.write_text(dsn + "\n")
    address.chmod(0o644)
    refused = domicile("-q", "catalog", "scan", "--dsn-file", address, "--file", tmp_path / "c.toml", check=False)
    assert refused.returncode == 2 and "chmod 600" in refused.stderr
    address.chmod(0o600)
    domicile("-q", "catalog", "scan", "--dsn-file", address, "--file", tmp_path / "c.toml")
    domicile("-q", "catalog", "check", "--file", tmp_path / "c.toml", env={"DOMICILE_DSN": dsn}, check=False)


def test_the_scan_writes_nothing_takes_no_lock_and_needs_no_more_than_reading(cluster, tmp_path):
    """As a role that may read two tables only, while a migration holds a lock on one of them."""
    database = "scan_learning_rows"
    with cluster.connect(database) as admin:
        admin.execute("CREATE ROLE reader LOGIN PASSWORD 'reader'; GRANT SELECT ON courses, enrolments TO reader")
        admin.execute("SET default_transaction_read_only = off")
        with cluster.connect(database, autocommit=False) as migration:
            migration.execute("LOCK TABLE courses IN ACCESS EXCLUSIVE MODE")
            found = domicile_json("-q", "catalog", "scan", "--dsn", cluster.dsn(database, "reader", "reader"),
                                  "--file", tmp_path / "c.toml", timeout=60)
            migration.rollback()
    skipped = {bare(s["table"]): s["why"] for s in found["not_looked_at"]}
    assert "lock" in skipped["courses"]
    assert "permission denied" in skipped["question_banks"]
    tables = {bare(t["name"]): t for t in found["tables"]}
    assert tables["courses"]["confidence"] == "certain"
    assert tables["question_banks"]["confidence"] == "unsure", "not looked at is not clean"


def test_600_tables_with_1000_foreign_keys_are_scanned_and_checked_in_seconds(cluster, tmp_path):
    sql, truth = large_schema()
    cluster.create_database("large")
    with cluster.connect("large") as connection:
        connection.execute("; ".join(sql))
        connection.execute("INSERT INTO organizations SELECT i, 's' || i FROM generate_series(1, 5) i")
    dsn, file = cluster.dsn("large"), tmp_path / "c.toml"
    started = time.monotonic()
    found = domicile_json("-q", "catalog", "scan", "--dsn", dsn, "--file", file)
    scan_s = time.monotonic() - started
    wrong = {t["name"] for t in found["tables"] if t["class"] != truth[bare(t["name"])]}
    assert not wrong
    assert found["not_looked_at"] == []
    started = time.monotonic()
    again = domicile_json("-q", "catalog", "scan", "--dsn", dsn, "--file", file)
    rescan_s = time.monotonic() - started
    assert again["changes"] == []
    started = time.monotonic()
    domicile("catalog", "check", "--dsn", dsn, "--file", file)
    check_s = time.monotonic() - started
    print(f"600 tables: scan {scan_s:.2f} s, re-scan {rescan_s:.2f} s, check {check_s:.2f} s")
    # The bars of the requirements (60 s and 10 s); what is measured is about a tenth of them.
    assert scan_s < 60 and rescan_s < 10 and check_s < 10
