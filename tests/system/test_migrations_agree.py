"""The lint of migrations and the real guard say the same: every case of tests/migrations/cases.toml is judged
without a database, and run against a guarded region by the tables' owner."""

import pathlib
import secrets

import psycopg
import pytest
from support.domicile import domicile_json
from support.migrations import CASES, PLANNED, execute, fill
from support.region import Region

WORST = ("refused", "fails", "closed", "reported")


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


def judged(region, case, folder: pathlib.Path) -> dict:
    file = folder / "0001_case.sql"
    file.write_text(";\n".join(case["sql"]) + ";\n")
    extra = [] if case.get("transaction", True) else ["--no-transaction"]
    return domicile_json("catalog", "check", "--file", region.catalog_file, "--migrations", file, "--owner", "app_owner",
                         *extra, check=False)


def verdict(report: dict) -> str:
    outcomes = {finding["outcome"] for finding in report["findings"]}
    return next((one for one in WORST if one in outcomes), "ok")


def violations(connection) -> set:
    return set(connection.execute("SELECT kind, object, detail FROM domicile.violations()").fetchall())


def told(error: psycopg.Error) -> str:
    text = str(error)
    depends = (psycopg.errors.DependentObjectsStillExist, psycopg.errors.FeatureNotSupported, psycopg.errors.DatatypeMismatch,
               psycopg.errors.ActiveSqlTransaction)
    if isinstance(error, depends):
        return "fails"
    return "refused" if "domicile" in text.split("\nHINT")[0] or isinstance(error, psycopg.errors.InsufficientPrivilege) else "broken"


def login(region, database, case, autocommit):
    user, password = ("postgres", None) if case.get("as") == "superuser" else ("installer", "secret")
    return region.cluster.connect(database, user, password, autocommit=autocommit)


def rolled_back(region, case) -> set:
    """What it adds to the violations, in a transaction that is taken back after the guard's check at commit."""
    with login(region, "app", case, False) as c:
        try:
            before = violations(c)
            execute(c, case)
            c.execute("SET CONSTRAINTS ALL IMMEDIATE")
            c.execute("RESET ROLE")
            return violations(c) - before
        finally:
            c.rollback()


def in_a_copy(region, case) -> set:
    name = "copy_" + secrets.token_hex(4)
    with region.cluster.connect() as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE app OWNER installer STRATEGY file_copy")
        try:
            with region.cluster.connect(name) as watcher, login(region, name, case, True) as c:
                before = violations(watcher)
                execute(c, case)
                return violations(watcher) - before
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def run(region, case) -> tuple[str, str]:
    """What the real region does with it."""
    try:
        added = (rolled_back if case.get("transaction", True) else in_a_copy)(region, case)
    except psycopg.Error as error:
        return told(error), str(error)
    if any(kind == "unclassified" for kind, _, _ in added):
        return "closed", str(added)
    return ("reported" if added else "ok"), str(added)


@pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in CASES])
def test_lint_and_region_agree(case, region, tmp_path):
    report = judged(region, case, tmp_path)
    happened, why = run(region, case)
    assert happened == case["says"], why
    assert verdict(report) == case["says"], report["findings"]
    if "kind" in case:
        assert case["kind"] in {finding["kind"] for finding in report["findings"]}
    for finding in report["findings"]:
        assert finding["remedy"] and finding["line"] >= 1 and finding["file"].endswith("0001_case.sql")
    assert report["ok"] == (case["says"] in ("ok", "reported"))
