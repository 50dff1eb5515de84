"""Tables that differ between the regions: what can be added is added by `reference apply-schema`, the rest is said, and the
stream goes on where it stopped."""

import json

import pytest
from support.domicile import domicile
from support.reference_world import ReferenceWorld, eventually


@pytest.fixture(scope="module")
def world():
    with ReferenceWorld() as made:
        made.start()
        yield made


def apply_schema(region, *arguments, code: int = 0) -> dict:
    done = domicile("-q", "--output", "json", "reference", "apply-schema", "--dsn", region.dsn("installer"), *arguments, check=False)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return json.loads(done.stdout) if done.stdout else {"error": done.stderr}


def told(world, column: str):
    """Until the node has asked what the master's table looks like now."""
    eventually(lambda: column in str(world.replica.one("SELECT source_columns FROM domicile.reference_table WHERE table_name = 'seat'")), 30,
               lambda: f"the replica knows of {column}")


def test_nothing_to_do_where_both_agree(world):
    world.caught_up()
    assert apply_schema(world.replica) == {"added": [], "dry_run": False, "refused": []}


def test_columns_are_added_and_the_stream_goes_on(world):
    world.master.execute("ALTER TABLE app.seat ADD COLUMN colour text, ADD COLUMN floor int NOT NULL DEFAULT 1, ADD COLUMN note text DEFAULT E'it''s a \"note\"',"
                         "ADD COLUMN price numeric(8,2) DEFAULT -1.50, ADD COLUMN sold timestamptz(3)[] DEFAULT '{}', ADD COLUMN state char(3) NOT NULL DEFAULT 'new'")
    world.master.execute("UPDATE app.seat SET colour = 'red', floor = 2 WHERE id = 2")
    world.state("stopped", reason="schema_drift")
    told(world, "colour")
    dry = apply_schema(world.replica, "--dry-run")
    assert [a["column"] for a in dry["added"]] == ["colour", "floor", "note", "price", "sold", "state"] and not dry["refused"]
    assert world.replica.one("SELECT count(*) FROM pg_attribute WHERE attrelid = 'app.seat'::regclass AND attname = 'colour'") == (0,)
    assert len(apply_schema(world.replica)["added"]) == 6
    world.in_step(seconds=60)
    assert world.replica.one("SELECT colour, floor, note, price, sold::text, state FROM app.seat WHERE id = 2") == ("red", 2, 'it\'s a "note"', -1.5, "{}", "new")
    assert not [k for k in world.replica.findings() if k[0] == "schema_drift"]
    assert not world.replica.query("SELECT kind, object FROM domicile.violations() WHERE severity = 'refuse' AND NOT known")


def test_what_is_no_addition_is_left_to_people(world):
    world.master.execute("ALTER TABLE app.seat ADD COLUMN made timestamptz DEFAULT now(), ADD COLUMN serial bigint GENERATED ALWAYS AS IDENTITY;"
                         "CREATE TYPE app.mood AS ENUM ('glad'); GRANT USAGE ON TYPE app.mood TO PUBLIC; ALTER TABLE app.seat ADD COLUMN mood app.mood; ALTER TABLE app.seat ADD COLUMN plain text")
    world.master.execute("UPDATE app.seat SET plain = 'x' WHERE id = 3")
    world.state("stopped", reason="schema_drift")
    told(world, "plain")
    said = apply_schema(world.replica, code=1)
    assert [a["column"] for a in said["added"]] == ["plain"]  # it is done, whatever else is left
    reasons = {r["place"]: r for r in said["refused"]}
    assert "now()" in reasons["app.seat, column made"]["reason"] and "--repair" in reasons["app.seat, column made"]["remedy"]
    assert "identity" in reasons["app.seat, column serial"]["reason"]
    assert "no type app.mood" in reasons["app.seat, column mood"]["reason"]
    # A person does it.
    world.replica.execute("CREATE TYPE app.mood AS ENUM ('glad'); ALTER TABLE app.seat ADD COLUMN made timestamptz, ADD COLUMN serial bigint")
    assert [a["column"] for a in apply_schema(world.replica)["added"]] == ["mood"]
    world.caught_up()
    domicile("-q", "reference", "compare", "--dsn", world.replica.dsn("node"), "--table", "app.seat", "--repair", check=False)
    world.in_step(seconds=60)


def test_a_type_that_is_more_than_a_type_is_not_taken(world):
    """What another region sends is never run as SQL."""
    world.applier.stop()
    try:
        columns, = world.replica.one("SELECT source_columns FROM domicile.reference_table WHERE table_name = 'seat'")
        for wrong in ({"type": "integer DEFAULT pg_sleep(1)"}, {"type": "int); DROP TABLE app.seat; --"},
                      {"type": "text", "default": "'x'); DROP TABLE app.seat; --"}, {"type": "text", "default": "E'\\'' ; DROP TABLE app.seat; --'"}):
            added = [*columns, {"name": "evil", "type": "text", "cast": "text", "not_null": False, "default": None, "generated": False, "identity": "", "key": False, **wrong}]
            with world.replica.connect() as c:
                c.execute("UPDATE domicile.reference_table SET source_columns = %s WHERE table_name = 'seat'", (json.dumps(added),))
            done = domicile("-q", "reference", "apply-schema", "--dsn", world.replica.dsn("installer"), check=False)
            assert done.returncode != 0, done.stdout
            assert world.replica.one("SELECT count(*) FROM pg_attribute WHERE attrelid = 'app.seat'::regclass AND attname = 'evil'") == (0,)
        with world.replica.connect() as c:
            c.execute("UPDATE domicile.reference_table SET source_columns = %s WHERE table_name = 'seat'", (json.dumps(columns),))
    finally:
        world.applier.start()
        world.in_step(seconds=60)


def test_the_master_is_followed_and_follows_nobody(world):
    done = domicile("-q", "reference", "apply-schema", "--dsn", world.master.dsn("installer"), check=False)
    assert done.returncode == 2 and "master region" in done.stderr
