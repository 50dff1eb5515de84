"""domicile doctor on nodes that take part in the reference sync: the login, the server's log, the stream."""

import json

import pytest
from support.domicile import domicile
from support.reference_world import ReferenceWorld


@pytest.fixture(scope="module")
def world():
    with ReferenceWorld() as made:
        made.start()
        yield made


def doctor(node) -> dict[str, tuple[str, str]]:
    done = domicile("--output", "json", "doctor", "--config", node.config, check=False)
    return {f["check"]: (f["health"], f"{f['seen']} / {f['remedy']}") for f in json.loads(done.stdout)["findings"] if f["check"].startswith("reference_")}


def test_a_pair_in_step_is_well(world):
    world.caught_up()
    assert {check: health for check, (health, _) in doctor(world.publisher).items()} == {"reference_login": "ok", "reference_log": "ok", "reference_stream": "ok"}
    assert {check: health for check, (health, _) in doctor(world.applier).items()} == {"reference_login": "ok", "reference_stream": "ok"}


@pytest.mark.parametrize("side,broken,mended,check,health,words", [
    ("publisher", "ALTER ROLE publisher NOREPLICATION", "ALTER ROLE publisher REPLICATION", "reference_login", "fail", "may not read the log"),
    ("publisher", "REVOKE domicile_publisher FROM publisher", "GRANT domicile_publisher TO publisher", "reference_login", "fail", "--reference-role"),
    ("publisher", "GRANT domicile_owner TO publisher", "REVOKE domicile_owner FROM publisher", "reference_login", "fail", "more than it should be"),
    ("applier", "REVOKE domicile_reference FROM applier", "GRANT domicile_reference TO applier", "reference_login", "fail", "--reference-role"),
    ("applier", "GRANT domicile_owner TO applier", "REVOKE domicile_owner FROM applier", "reference_login", "fail", "more than it should be"),
    ("applier", "ALTER ROLE applier REPLICATION", "ALTER ROLE applier NOREPLICATION", "reference_login", "warn", "REPLICATION"),
])
def test_what_is_broken_is_named_with_its_remedy(world, side, broken, mended, check, health, words):
    node, region = (world.publisher, world.master) if side == "publisher" else (world.applier, world.replica)
    region.execute(broken)
    try:
        found = doctor(node)
    finally:
        region.execute(mended)
    assert found[check][0] == health and words in found[check][1], found


def test_a_master_that_is_away_and_a_publication_that_is_gone_are_told(world):
    world.master.execute("BEGIN; ALTER EVENT TRIGGER domicile_ddl DISABLE; ALTER PUBLICATION domicile_reference RENAME TO hidden; COMMIT")
    try:
        assert doctor(world.publisher)["reference_log"][0] == "warn"
    finally:
        world.master.execute("ALTER PUBLICATION hidden RENAME TO domicile_reference; ALTER EVENT TRIGGER domicile_ddl ENABLE ALWAYS")
    world.publisher.stop()
    world.state("unreachable")
    assert doctor(world.applier)["reference_stream"][0] == "warn"
