"""The sample application behind real doors, and the tour as a test: every expectation holds, twice."""

import json
import os
import pathlib
import subprocess

import psycopg
import pytest
from support.domicile import ROOT, binary
from support.local_regions import LocalRegions

LEARNING = ROOT / "examples" / "learning"


@pytest.fixture(scope="module")
def regions():
    local = LocalRegions()
    try:
        local.up()
        yield local
    finally:
        local.drop()


def tour(regions) -> subprocess.CompletedProcess:
    return subprocess.run(["/usr/bin/python3", "-B", str(LEARNING / "tour.py"), "--domicile", str(binary()), "--data",
                           str(regions.data)], text=True, capture_output=True, timeout=300)


def test_the_tour_holds_and_may_be_taken_again(regions):
    for _ in range(2):
        done = tour(regions)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "✗" not in done.stdout and done.stdout.count("✓") > 50
    summary = (regions.data / "tour.md").read_text()
    assert "expectations held" in summary and "✗" not in summary


def generate(regions, region: str, *more: str) -> subprocess.CompletedProcess:
    dsn = pathlib.Path(regions.region(region)["dsn_files"]["superuser"]).read_text().strip()
    return subprocess.run(["/usr/bin/python3", "-B", str(LEARNING / "generate.py"), "data", "--region", region, "--orgs", "6",
                           "--users", "60", "--rows", "20000", "--seed", "7", *more], text=True, capture_output=True,
                          env={**os.environ, "LEARNING_DSN": dsn}, timeout=120)


def test_the_generator_loads_only_what_is_homed_and_the_guard_refuses_the_rest(regions):
    plan = [json.loads(line) for line in subprocess.run(
        ["/usr/bin/python3", str(LEARNING / "generate.py"), "plan", "--orgs", "6", "--seed", "7"], text=True,
        capture_output=True, check=True).stdout.splitlines()]
    here = {r: [int(o["key"]) for o in plan if o["region"] == r] for r in ("ca-central-1", "us-east-1")}
    assert all(here.values())
    refused = generate(regions, "us-east-1")
    assert refused.returncode == 1 and ("does not exist" in refused.stderr or "not writable" in refused.stderr)
    for organization in plan:
        done = subprocess.run([str(binary()), "org", "create", organization["key"], "--slug", organization["slug"],
                               "--region", organization["region"], "--ca-file", str(regions.data / "ca.pem"),
                               "--peer-token-file", str(regions.data / "regions/ca-central-1/node/peer.token"),
                               "--registry-dsn-file", regions.region("ca-central-1")["dsn_files"]["registry"]],
                              text=True, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr
    for region, keys in here.items():
        done = generate(regions, region)
        assert done.returncode == 0, done.stderr
        with regions.superuser(region) as db:
            found = [r[0] for r in db.execute("SELECT DISTINCT organization_id FROM learning.answer WHERE organization_id > 1000 "
                                              "ORDER BY 1").fetchall()]
            assert found == sorted(keys)
            broken = db.execute("SELECT count(*) FROM learning.answer w LEFT JOIN learning.question q ON (q.organization_id, q.id) "
                                "= (w.organization_id, w.question_id) LEFT JOIN learning.attempt a ON (a.organization_id, a.id) = "
                                "(w.organization_id, w.attempt_id) WHERE q.id IS NULL OR a.id IS NULL").fetchone()[0]
            assert broken == 0


def test_the_same_seed_gives_the_same_rows():
    def plan(seed):
        return subprocess.run(["/usr/bin/python3", str(LEARNING / "generate.py"), "plan", "--orgs", "50", "--seed", seed],
                              text=True, capture_output=True, check=True).stdout
    assert plan("3") == plan("3") != plan("4")


def test_a_pool_connection_keeps_nothing_of_the_last_request(regions):
    secret = regions.data / "regions/ca-central-1/secrets/learning_pool.pgpass"
    port = regions.region("ca-central-1")["ports"]["postgresql"]
    with psycopg.connect(f"host=127.0.0.1 port={port} dbname=learning user=learning_pool passfile='{secret}'") as db:
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="no organization context"):
            db.execute("SELECT * FROM learning.course")


def test_the_tour_sees_a_broken_guard(regions):
    """Last, because it leaves the region broken: a superuser takes the guard from one table."""
    with regions.superuser("us-east-1") as db:
        db.execute("ALTER EVENT TRIGGER domicile_ddl DISABLE")
        db.execute("ALTER TABLE learning.course DROP CONSTRAINT domicile_home")
    done = tour(regions)
    assert done.returncode == 1
    assert "✗ as superuser in the US: a row of Maple School" in done.stdout
    assert "✗ every check passes" in done.stdout
