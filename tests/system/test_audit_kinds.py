"""Every kind of event comes from somebody's real act, through the real path, and fits the published schema."""

import json
import os
import re
import signal

import pytest

from support import ocsf_schema
from support.domicile import ROOT, domicile
from support.identity_world import CANADA, US, World
from support.local_regions import wait_until

# Their acts are in the tests of the reference sync, of the checks, the detections and the trails.
ELSEWHERE = {"reference_applied", "drift_repaired", "finding", "detection", "cloud_activity", "sql_session", "sql_statement"}
NO_PRODUCERS = {"audit", "domain", "detect", "logindex"}  # they name kinds, and make no events of people's acts


@pytest.fixture(scope="module")
def world():
    made = World()
    try:
        yield made
    finally:
        made.local.drop()


def all_kinds():
    text = (ROOT / "src/audit/ocsf.cpp").read_text()
    return set(re.findall(r'case EventKind::\w+: return "(\w+)"', text))


def bearer(tokens):
    return {"Authorization": "Bearer " + tokens["access_token"]}


def abroad(world):
    """Somebody whose home is the other region."""
    return world.sign_in(US, organization="liberty", username="sam")[1]


def acts(world):
    """One act of every kind that a node and its database see."""
    world.send(CANADA, "GET", "/api/orgs/101/courses", headers=bearer(world.sign_in()[1]))
    world.send(CANADA, "GET", "/api/orgs/201/courses", headers=bearer(abroad(world)))
    world.cli(CANADA, "grant", "create", "--org", "101", "--login", "ann", "--target", "102", "--permission", "courses:read",
              "--ticket", "OPS-1", "--for", "1h")
    world.cli(CANADA, "key", "rotate", "--in", "10m")
    with world.local.superuser(CANADA) as db:
        db.execute("SELECT domicile_private.begin_maintenance('OPS-2', interval '1 hour', ARRAY['ddl'], '{}')")
        db.execute("CREATE TABLE learning.note_of_a_test (id int)")
        db.execute("ALTER TABLE learning.note_of_a_test ADD COLUMN more text")
        db.execute("DROP TABLE learning.note_of_a_test")
        db.execute("CREATE TEMP TABLE not_worth_a_note (id int)")
        db.execute("SELECT * FROM domicile_private.end_maintenance()")
    os.kill(world.local.pid(f"{CANADA}-node"), signal.SIGHUP)


def test_every_kind_is_produced_by_a_real_act_and_fits_its_schema(world):
    acts(world)
    here = all_kinds() - ELSEWHERE

    def missing():
        return here - {e["metadata"]["event_code"] for e in world.events(CANADA)}

    wait_until(lambda: not missing(), 30, f"events of {missing()}")
    made = "".join(p.read_text() for p in ROOT.glob("src/*/*.cpp") if p.parent.name not in NO_PRODUCERS and "_test" not in p.name)
    made += "".join(p.read_text() for p in ROOT.glob("src/*/*.h") if p.parent.name not in NO_PRODUCERS)
    assert not [kind for kind in ELSEWHERE if not re.search(rf"EventKind::{kind}\b", made)]
    if (folder := ocsf_schema.vectors()) is None:
        pytest.skip("no OCSF schemas; they are published at https://schema.ocsf.io/1.8.0")
    schemas = ocsf_schema.Schemas(folder)
    seen = {}
    for event in world.events(CANADA) + world.persons(CANADA):
        seen.setdefault((event["metadata"]["event_code"], event["type_uid"], event["unmapped"].get("operation")), event)
    assert not [(key, p) for key, event in seen.items() for p in schemas.problems(event)]


def test_what_changes_the_schema_is_on_record_with_its_object_and_who_did_it(world):
    def changes():
        return [e for e in world.events(CANADA) if e["metadata"]["event_code"] == "schema_changed" and "note_of_a_test" in json.dumps(e)]

    found = wait_until(lambda: any(e["activity_name"] == "Delete" for e in changes()) and changes(), 20, "create, alter, drop")
    done = [(e["activity_name"], e["unmapped"]["operation"]) for e in found]
    assert {("Create", "schema.create_table"), ("Update", "schema.alter_table")} < set(done), done
    assert done[-1] == ("Delete", "schema.drop_table"), done
    assert all(e["table"]["name"] == "table:learning.note_of_a_test" and e["unmapped"]["details"]["operator"] for e in found)
    assert "not_worth_a_note" not in json.dumps(world.events(CANADA))


def test_a_cross_region_attempt_names_nobody_and_can_be_counted_by_its_tag(world):
    sam = abroad(world)
    for _ in range(3):
        world.send(CANADA, "GET", "/api/orgs/201/courses", headers=bearer(sam))

    def attempts():
        return [e for e in world.events(CANADA) if e["metadata"]["event_code"] == "cross_region" and e["class_uid"] == 2004]

    found = wait_until(lambda: len(attempts()) >= 3 and attempts(), 10, "the attempts")
    assert world.believe(sam["access_token"], US)["sub"] not in json.dumps(found)
    assert len({e["unmapped"]["details"]["actor_tag"] for e in found}) == 1


def test_the_help_names_every_kind():
    refused = domicile("audit", "list", "/nowhere", "--kind", "nothing", check=False).stderr
    assert all(kind in refused for kind in all_kinds())
