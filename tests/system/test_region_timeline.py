"""A region that wakes on another timeline is closed, whatever the nodes know, until it is reconciled."""

import psycopg
import pytest
from psycopg import errors
from support.domicile import domicile
from support.postgres import Cluster
from support.region import Region
from support.standby import Standby


@pytest.fixture
def region(tmp_path):
    one = Region(tmp_path, cluster=Cluster({"wal_level": "replica", "max_wal_senders": "4"}))
    one.init()
    one.home("7", 3)
    one.home("8", 3)
    yield one
    one.drop()


@pytest.fixture
def standby(region):
    built = Standby(region.cluster)
    yield built
    built.drop()


def test_a_promoted_standby_is_closed_until_reconciled(region, standby):
    dsn = region.dsn(port=standby.port)
    superuser = f"host=127.0.0.1 port={standby.port} dbname=app user=postgres password={Cluster.password}"
    done = domicile("region", "status", "--dsn", dsn, check=False)
    assert done.returncode == 1 and "a standby" in done.stdout
    done = domicile("region", "reconcile", "--dsn", dsn, "--placements", region.placements(("7", 4, "active")), check=False)
    assert done.returncode == 2 and "standby" in done.stderr

    standby.promote()
    with psycopg.connect(superuser, autocommit=True) as c:
        with pytest.raises(errors.CheckViolation, match="region is closed"):
            c.execute("INSERT INTO app.course (org_id, title) VALUES (7, 'x')")
        with pytest.raises(errors.ObjectNotInPrerequisiteState, match="closed|another timeline"):
            c.execute("SELECT domicile.home_organization('9', 9)")
    status = domicile("region", "status", "--dsn", dsn, check=False)
    assert status.returncode == 1 and "on timeline 00000002, opened on 00000001" in status.stdout

    # Organization 8 moved away meanwhile: the registry knows, this copy does not.
    dry = domicile("region", "reconcile", "--dsn", dsn, "--dry-run", "--placements", region.placements(("7", 4, "active")))
    assert "fenced    8" in dry.stdout
    with psycopg.connect(superuser, autocommit=True) as c:
        with pytest.raises(errors.CheckViolation):
            c.execute("INSERT INTO app.course (org_id, title) VALUES (7, 'x')")
    done = domicile("region", "reconcile", "--dsn", dsn, "--placements", region.placements(("7", 4, "active")))
    assert "open on timeline 00000002" in done.stdout
    with psycopg.connect(superuser, autocommit=True) as c:
        c.execute("INSERT INTO app.course (org_id, title) VALUES (7, 'x')")
        with pytest.raises(errors.CheckViolation, match="organization 8 is not writable"):
            c.execute("INSERT INTO app.course (org_id, title) VALUES (8, 'x')")

    # A plain restart keeps it open: the same timeline.
    standby.restart()
    with psycopg.connect(superuser, autocommit=True) as c:
        c.execute("INSERT INTO app.course (org_id, title) VALUES (7, 'y')")
        assert c.execute("SELECT domicile.refresh_region()").fetchone()[0]
        c.execute("INSERT INTO app.course (org_id, title) VALUES (7, 'z')")
    # The old primary goes on where it was.
    with region.connect() as c:
        c.execute("INSERT INTO app.course (org_id, title) VALUES (8, 'x')")


def test_reconcile_refuses_a_list_that_is_older_or_for_another_region(region):
    done = region.run("reconcile", "--placements", region.placements(("7", 2, "active"), ("8", 3, "active")), check=False)
    assert done.returncode == 1 and "older" in done.stderr
    done = region.run("reconcile", "--placements", region.placements(("7", 3, "active"), region="us"), check=False)
    assert done.returncode == 2 and "is the list of region us" in done.stderr
    path = region.folder / "bad.json"
    path.write_text('{"region": "ca"}')
    done = region.run("reconcile", "--placements", path, check=False)
    assert done.returncode == 2 and "missing" in done.stderr


def test_reconcile_homes_suspends_fences_and_expels(region):
    with region.connect() as c:
        c.execute("CREATE ROLE domicile_home_org_66 NOLOGIN")
    done = region.run("reconcile", "--placements", region.placements(("7", 3, "suspended"), ("9", 1, "active")))
    assert {tuple(line.split()) for line in done.stdout.splitlines()[:-1]} == {
        ("suspended", "7"), ("homed", "9"), ("fenced", "8"), ("expelled", "org_66")}
    with region.connect() as c:
        for key, ok in ((7, False), (8, False), (66, False), (9, True)):
            if ok:
                c.execute("INSERT INTO app.course (org_id, title) VALUES (%s, 'x')", (key,))
            else:
                with pytest.raises(errors.CheckViolation):
                    c.execute("INSERT INTO app.course (org_id, title) VALUES (%s, 'x')", (key,))
    again = region.run("reconcile", "--placements", region.placements(("7", 3, "suspended"), ("9", 1, "active")))
    assert again.stdout.startswith("0 changes")
