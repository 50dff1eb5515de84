"""The derived index of a log: every event once, built again at will, dropped by day, and never a thing of its own."""

import json

import pytest

from support.log_index import Index, run, secret_file


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """Findings of several runs of checks against a database that is not there: events made by the real program."""
    folder = tmp_path_factory.mktemp("events")
    nobody = secret_file(folder / "nobody.dsn", "host=127.0.0.1 port=1 dbname=none user=nobody")
    for _ in range(6):
        run("-q", "check", "--region", "ca-central-1", "--dsn-file", nobody, "--event-directory", folder / "log", code=3)
    return folder / "log"


@pytest.fixture(scope="module")
def index(cluster, tmp_path_factory):
    return Index(cluster, tmp_path_factory.mktemp("index"))


def lines(log) -> list[dict]:
    return [json.loads(line) for line in run("--output", "json", "audit", "list", log).stdout.splitlines()]


def test_every_event_of_the_log_is_there_once_with_what_it_says(log, index):
    events = lines(log)
    assert len(events) > 256 and index.rebuild(log) == len(events)
    status = index.status()
    assert (status["complete_to"], status["rows"], status["whole"]) == (len(events), len(events), True)
    assert status["bundles"] == (len(events) + 255) // 256
    rows = index.rows("SELECT sequence, event_code, class_uid, outcome, region, operation, reason, extract(epoch FROM time) * 1000 "
                      "FROM domicile_index.event ORDER BY sequence")
    for event, (sequence, code, uid, outcome, region, operation, reason, time) in zip(events, rows, strict=True):
        assert sequence == event["metadata"]["sequence"] and code == event["metadata"]["event_code"]
        assert uid == event["class_uid"] and outcome == event["unmapped"]["outcome"]
        assert region == event["cloud"]["region"] and time == event["time"]
        if uid == 2003:
            assert operation == event["compliance"]["control"] and reason == event["compliance"].get("status_code")


def test_building_it_again_gives_the_same(log, index):
    index.rebuild(log)
    whole = "SELECT md5(string_agg(e::text, chr(10) ORDER BY sequence)) FROM domicile_index.event e"
    before = index.rows(whole)
    index.rebuild(log)
    assert index.rows(whole) == before


def test_a_row_that_is_missing_or_doubled_is_told(log, index):
    index.rebuild(log)
    index.rows("DELETE FROM domicile_index.event WHERE sequence = 300 RETURNING 1")
    status = index.status(code=1)
    assert not status["whole"] and status["incomplete"][0].startswith("257 to ")
    index.rows("INSERT INTO domicile_index.event SELECT * FROM domicile_index.event WHERE sequence = 301 RETURNING 1")
    assert not index.status(code=1)["whole"]
    index.rebuild(log)
    assert index.status()["whole"]


def test_each_utc_day_has_a_partition_and_other_times_have_one_together(log, index):
    index.rebuild(log)
    days = {name for (name,) in index.rows("SELECT DISTINCT tableoid::regclass::text FROM domicile_index.event")}
    assert days and all(day.removeprefix("domicile_index.").startswith("event_20") for day in days)
    index.add(sequence=1, log=1, time="1999-07-01T00:00:00Z")
    assert index.rows("SELECT tableoid::regclass::text FROM domicile_index.event WHERE time < '2000-01-01'") == [("domicile_index.event_other",)]
    index.rows("SELECT domicile_index.ensure_day('1999-07-01')")
    assert index.rows("SELECT tableoid::regclass::text FROM domicile_index.event WHERE time < '2000-01-01'") == [("domicile_index.event_19990701",)]
    assert index.rows("SELECT domicile_index.drop_before('2001-01-01')") == [(1,)]
    assert index.rows("SELECT count(*) FROM domicile_index.event WHERE time < '2001-01-01'") == [(0,)]
    index.rebuild(log)


def test_making_it_again_changes_nothing_and_overwrites_no_file(index):
    refused = run("audit", "index", "create", "--dsn-file", index.admin, "--loader-dsn-file", index.loader,
                  "--reader-dsn-file", index.folder / "other.dsn", code=2)
    assert "exists" in refused.stderr
    assert index.status()["whole"]


def test_a_database_without_an_index_is_told_how_to_get_one(cluster, index):
    told = run("audit", "index", "status", "--dsn-file", index.admin, "--origin", "ca-central-1", code=1)
    assert "domicile audit index create" in told.stderr and "password" not in told.stderr
