"""What must stop the reference stream, and what must not: each stop is a finding with its reason, nothing is stored that should not
be, and once the cause is gone the stream goes on."""

import contextlib
import shutil

import psycopg
import pytest
from support.domicile import domicile
from support.reference_schema import catalog
from support.reference_world import CANADA, EUROPE, US, ReferenceWorld, eventually


@pytest.fixture(scope="module")
def world():
    with ReferenceWorld() as made:
        made.start()
        yield made


@pytest.fixture(autouse=True)
def together(request):
    yield
    if "world" in request.fixturenames:
        request.getfixturevalue("world").in_step()


@contextlib.contextmanager
def unguarded(region):
    """A superuser who knows what to switch off."""
    with region.connect() as c:
        for trigger in ("domicile_ddl", "domicile_drop"):
            c.execute(f"ALTER EVENT TRIGGER {trigger} DISABLE")
        try:
            yield c
        finally:
            for trigger in ("domicile_ddl", "domicile_drop"):
                c.execute(f"ALTER EVENT TRIGGER {trigger} ENABLE ALWAYS")


def everything(world) -> dict[str, list[str]]:
    return {table: world.replica.rows(table) for table in [*world.tables, "enrolment"]}


# ---- what may not cross -------------------------------------------------------------------------

def test_an_organizations_table_in_the_publication_stops_the_stream(world):
    world.organization("7", CANADA)
    with world.master.connect() as c, pytest.raises(psycopg.errors.InsufficientPrivilege):
        c.execute("ALTER PUBLICATION domicile_reference ADD TABLE app.enrolment")
    world.caught_up()
    before = everything(world)
    with unguarded(world.master) as c:
        c.execute("ALTER PUBLICATION domicile_reference ADD TABLE app.enrolment")
    with world.master.connect() as c, c.transaction():
        c.execute("UPDATE app.seat SET label = 'with a foreign row' WHERE id = 1")
        c.execute("INSERT INTO app.enrolment SELECT 7, 1, min(id) FROM app.course")
    world.state("stopped", reason="class_violation")
    thing, detail = world.finding("class_violation")
    assert "enrolment" in thing + detail
    assert everything(world) == before
    refused = [e for node in (world.publisher, world.applier) for e in node.events() if "class_violation" in str(e)]
    assert refused and "enrolment" in str(refused)
    with unguarded(world.master) as c:
        c.execute("ALTER PUBLICATION domicile_reference DROP TABLE app.enrolment")
    world.resync()  # what stands in the log was in the publication: only a copy leads past it
    world.in_step(seconds=60)
    assert world.replica.rows("enrolment") == []
    world.master.execute("DELETE FROM app.enrolment")


def test_a_renamed_relation_stops_the_stream(world):
    world.caught_up()
    before = everything(world)
    with unguarded(world.master) as c:
        c.execute("ALTER TABLE app.seat RENAME TO sofa")
        c.execute("UPDATE app.sofa SET label = label || ' (soft)'")
    world.state("stopped", reason="class_violation")
    assert "sofa" in "".join(world.finding("class_violation"))
    assert everything(world) == before
    with unguarded(world.master) as c:
        c.execute("ALTER TABLE app.sofa RENAME TO seat")
    world.resync()
    world.in_step(seconds=60)


def test_another_class_in_the_replica_stops_the_stream_and_the_old_one_lets_it_go_on(world):
    world.caught_up()
    world.replica.init(catalog({"seat": 'class = "system"'}))
    before = everything(world)
    with world.master.connect() as c, c.transaction():
        c.execute("UPDATE app.seat SET label = label || '*' WHERE id < 4")
        c.execute("INSERT INTO app.ledger VALUES (777, 7)")
    source = eventually(lambda: (s := world.replica.source())["state"] == "stopped" and s, 30, lambda: str(world.replica.source()))
    assert source["reason"] in ("class_violation", "catalog_differs") and "seat" in source["detail"]
    assert everything(world) == before
    world.replica.init()
    world.in_step(seconds=60)
    assert not [k for k in world.replica.findings() if k[0] in ("class_violation", "catalog_differs")]


def test_another_class_in_the_master_lets_nothing_of_the_table_cross(world):
    world.caught_up()
    before = world.replica.rows("seat")
    world.master.init(catalog({"seat": 'class = "system"'}))
    world.master.execute("UPDATE app.seat SET label = label || '#' WHERE id < 4")
    eventually(lambda: world.replica.source()["state"] == "stopped", 30, lambda: str(world.replica.source()))
    assert world.replica.rows("seat") == before
    world.master.init()
    world.resync()
    world.in_step(seconds=60)


# ---- schemas that differ ------------------------------------------------------------------------

def test_a_column_that_only_the_master_has_pauses_the_stream_until_both_agree(world):
    world.caught_up()
    world.master.execute("ALTER TABLE app.seat ADD COLUMN colour text")
    world.master.execute("UPDATE app.seat SET colour = 'red' WHERE id = 2")
    world.state("stopped", reason="schema_drift")
    thing, detail = world.finding("schema_drift")
    assert "seat" in thing and "colour" in detail
    assert "red" not in str(world.replica.rows("seat"))
    world.replica.execute("ALTER TABLE app.seat ADD COLUMN colour text")
    world.in_step(seconds=60)
    assert "red" in str(world.replica.rows("seat"))
    assert not [k for k in world.replica.findings() if k[0] == "schema_drift"]


def test_a_column_that_the_replica_has_first_is_no_matter(world):
    world.replica.execute("ALTER TABLE app.seat ADD COLUMN rows int")
    world.master.execute("UPDATE app.seat SET label = label || '+' WHERE id = 9")
    world.caught_up()
    assert world.replica.source()["state"] == "streaming"
    world.master.execute("ALTER TABLE app.seat ADD COLUMN rows int")
    world.master.execute("UPDATE app.seat SET rows = id")
    world.in_step(seconds=60)


def test_another_type_pauses_the_stream_when_it_begins(world):
    world.caught_up()
    world.applier.stop()
    world.master.execute("ALTER TABLE app.author ALTER COLUMN name TYPE varchar(100)")
    world.master.execute("UPDATE app.author SET name = name || '.'")
    world.applier.start()
    world.state("stopped", reason="schema_drift")
    assert "varchar" in "".join(world.finding("schema_drift")) or "character varying" in "".join(world.finding("schema_drift"))
    world.replica.execute("ALTER TABLE app.author ALTER COLUMN name TYPE varchar(100)")
    world.in_step(seconds=60)


def test_another_type_pauses_the_stream_also_in_the_middle(world):
    world.master.execute("UPDATE app.author SET name = name || 'a'")
    world.caught_up()
    world.master.execute("ALTER TABLE app.author ALTER COLUMN name TYPE varchar(90)")
    world.master.execute("UPDATE app.author SET name = name || 'b'")
    world.state("stopped", reason="schema_drift")
    world.replica.execute("ALTER TABLE app.author ALTER COLUMN name TYPE varchar(90)")
    world.in_step(seconds=60)


def test_what_was_written_under_an_older_type_arrives_once_both_sides_have_the_new_one(world):
    world.applier.stop()
    world.master.execute("UPDATE app.author SET name = name || 'c'")
    world.master.execute("ALTER TABLE app.author ALTER COLUMN name TYPE varchar(80)")
    world.master.execute("UPDATE app.author SET name = name || 'd'")
    world.replica.execute("ALTER TABLE app.author ALTER COLUMN name TYPE varchar(80)")
    world.applier.start()
    world.in_step(seconds=60)


# ---- another master -----------------------------------------------------------------------------

def test_a_promoted_master_leads_to_a_fresh_copy_by_itself(world):
    world.caught_up()
    world.publisher.stop()
    cluster = world.master.cluster
    cluster.stop()
    (cluster.data / "standby.signal").touch()
    shutil.chown(cluster.data / "standby.signal", cluster.data.owner(), cluster.data.group())
    cluster.start()
    with cluster.connect() as c:
        c.execute("SELECT pg_promote()")
        eventually(lambda: not c.execute("SELECT pg_is_in_recovery()").fetchone()[0], 30, lambda: "promoted")
    world.master.open()
    world.publisher.start()
    world.master.execute("UPDATE app.seat SET label = label || 'p'")
    world.in_step(seconds=60)
    assert "timeline_changed" in str(world.applier.events())


def test_another_master_is_followed_only_when_a_person_says_so(world):
    world.caught_up()
    world.publisher.stop()
    world.master.execute("UPDATE domicile.region SET database_id = md5('another')")
    (world.publisher.folder / "state" / "database.mark").unlink()
    world.master.open()
    world.publisher.start()
    world.master.execute("UPDATE app.seat SET label = label || 'q'")
    before = world.replica.rows("seat")
    world.state("stopped", reason="master_unknown", seconds=60)
    assert world.replica.rows("seat") == before
    domicile("reference", "accept-master", "--dsn-file", world.replica.secret("accept.dsn", world.replica.dsn("node")))
    world.in_step(seconds=60)
    assert not [k for k in world.replica.findings() if k[0] == "master_unknown"]


# ---- rows that cannot be stored -----------------------------------------------------------------

def test_a_delete_that_an_organization_blocks_is_set_aside_and_the_stream_goes_on(world):
    world.organization("8", US)
    world.master.execute("INSERT INTO app.course (code) VALUES ('in-use')")
    world.caught_up()
    world.replica.execute("INSERT INTO app.enrolment SELECT 8, 1, id FROM app.course WHERE code = 'in-use'")
    with world.master.connect() as c, c.transaction():
        c.execute("DELETE FROM app.course WHERE code = 'in-use'")
        c.execute("INSERT INTO app.ledger VALUES (888, 8)")
    world.caught_up()
    assert world.replica.query("SELECT n FROM app.ledger WHERE id = 888") == [(8,)]
    operation, state = world.replica.one("SELECT operation, state FROM domicile.reference_quarantine WHERE resolved_at IS NULL")
    assert (operation, state) == ("delete", "23503")
    assert "course" in "".join(world.finding("delete_refused"))
    assert world.replica.source()["state"] == "streaming"
    world.replica.execute("DELETE FROM app.enrolment")
    world.resync()
    world.in_step(seconds=60)
    assert world.replica.query("SELECT FROM domicile.reference_quarantine WHERE resolved_at IS NULL") == []


def test_the_master_wins_over_a_row_that_should_not_be_here(world):
    """Written with the applier's own credentials, which nothing in the database can tell from the applier."""
    world.caught_up()
    world.replica.execute("INSERT INTO app.seat (id, label) VALUES (500, 'stray'); DELETE FROM app.seat WHERE id = 12", "applier")
    with world.master.connect() as c, c.transaction():
        c.execute("INSERT INTO app.seat (id, label) VALUES (500, 'proper')")
        c.execute("UPDATE app.seat SET label = 'twelve' WHERE id = 12")
    world.in_step()
    (conflicts,) = world.replica.one("SELECT conflicts FROM domicile.reference_table WHERE table_name = 'seat'")
    assert conflicts >= 1


# ---- who may ask --------------------------------------------------------------------------------

@pytest.mark.parametrize("wrong", ["token", "region", "certificate"])
def test_a_wrong_peer_gets_nothing(world, wrong):
    world.caught_up()
    node = world.applier
    node.stop()
    if wrong == "token":
        node.write()
        node.file("peer.token", "0" * 64 + "\n")
    elif wrong == "region":
        node.write(peer=EUROPE)
    else:
        node.write()
        stranger = type(world.authority)(world.folder, "stranger").issue("stranger", regions=(US,))
        text = node.config.read_text()
        shown = world.peer_certificate(US)
        node.file("node.toml", text.replace(str(shown.path), str(stranger.path)).replace(str(shown.key_path), str(stranger.key_path)))
    if wrong == "region":  # the node itself will not start with another region's certificate
        with pytest.raises(AssertionError, match="urn:domicile:region"):
            node.start()
    else:
        world.master.execute("UPDATE app.seat SET label = label || '?' WHERE id = 3")
        node.start(ready=False)
        eventually(lambda: world.replica.source()["state"] in ("stopped", "unreachable"), 30, lambda: f"{world.replica.source()}\n{node.text()[-2000:]}")
    node.kill()
    node.write()
    node.start()
    world.in_step(seconds=60)


# ---- servers that cannot ------------------------------------------------------------------------

def test_a_publisher_without_replication_says_so_and_goes_on_when_it_has_it(world):
    world.publisher.stop()
    world.master.execute("ALTER ROLE publisher NOREPLICATION")
    world.publisher.start()
    world.master.execute("UPDATE app.seat SET label = label || '-' WHERE id = 7")
    source = eventually(lambda: (s := world.replica.source())["state"] != "streaming" and "REPLICATION" in s["detail"].upper() and s, 40,
                        lambda: f"{world.replica.source()}")
    assert source["reason"] == "rights_missing"
    world.master.execute("ALTER ROLE publisher REPLICATION")
    world.in_step(seconds=60)


def test_an_applier_without_its_role_says_so_and_goes_on_when_it_has_it(world):
    world.replica.execute("REVOKE domicile_reference FROM applier")
    world.applier.stop()
    world.applier.start()
    world.master.execute("UPDATE app.seat SET label = label || '-' WHERE id = 8")
    eventually(lambda: "domicile_reference" in world.applier.text(), 30, lambda: world.applier.text()[-3000:])
    world.replica.execute("GRANT domicile_reference TO applier")
    world.in_step(seconds=60)


def test_a_slot_that_somebody_dropped_leads_to_a_fresh_copy_by_itself(world):
    world.caught_up()
    world.publisher.stop()
    world.master.execute("SELECT pg_drop_replication_slot('domicile_us_east_1')")
    world.master.execute("UPDATE app.seat SET label = label || '=' WHERE id > 15; DELETE FROM app.whole; INSERT INTO app.whole VALUES (9, 'n', 'n')")
    world.publisher.start()
    world.in_step(seconds=60)
    said = "SELECT object, resolved_at IS NOT NULL FROM domicile.reference_finding WHERE kind = 'reference_resync' ORDER BY id DESC LIMIT 1"
    assert world.replica.one(said) == ("slot_missing", True), "raised, and settled by the copy"
    assert [e for e in world.applier.events() if "reference_resync" in str(e) or "slot_missing" in str(e)]


def test_a_lost_slot_leads_to_a_fresh_copy_by_itself():
    small = {"max_slot_wal_keep_size": "1MB", "max_wal_size": "32MB", "min_wal_size": "32MB"}
    with ReferenceWorld(settings={CANADA: small}) as own:
        own.start()
        own.applier.stop()
        with own.master.connect() as c:
            for _ in range(8):
                c.execute("UPDATE app.seat SET label = label || '.'")
                c.execute("SELECT pg_logical_emit_message(false, 'fill', repeat('x', 16000000))")
                c.execute("SELECT pg_switch_wal(); ")
                c.execute("CHECKPOINT")
        own.publisher.stop()  # lets the slot go, so that it may be invalidated
        own.master.execute("CHECKPOINT")
        assert own.master.one("SELECT wal_status FROM pg_replication_slots WHERE slot_name = 'domicile_us_east_1'") == ("lost",)
        own.publisher.start()
        own.applier.start()
        own.in_step(seconds=60)
        assert "slot_lost" in str(own.applier.events())


def test_a_log_that_cannot_be_decoded_is_said_with_its_remedy():
    with ReferenceWorld(settings={CANADA: {"wal_level": "replica"}}) as own:
        for node in own.nodes.values():
            node.start()
        source = eventually(lambda: (s := own.replica.source())["reason"] == "wal_level" and s, 40, lambda: f"{own.replica.source()}\n{own.applier.text()[-2000:]}")
        assert source["state"] == "stopped" and "logical" in source["detail"]
        assert own.replica.rows("seat") == []
        own.master.cluster.stop()
        own.master.cluster.settings["wal_level"] = "logical"
        own.master.cluster.start()
        own.in_step(seconds=60)


@pytest.mark.parametrize("table, complaint", [
    ("CREATE TABLE app.keyless (a int, b text)", "primary key"),
    ("CREATE TABLE app.keyless (a int PRIMARY KEY, b text); ALTER TABLE app.keyless REPLICA IDENTITY NOTHING", "replica identity"),
], ids=["no-key", "identity-nothing"])
def test_a_table_that_cannot_travel_is_named_and_nothing_is_half_done(world, table, complaint):
    world.caught_up()
    for region in world.regions.values():
        with region.connect() as c:
            c.execute("SET SESSION AUTHORIZATION app_owner")
            for statement in table.split("; "):
                c.execute(statement)
    try:
        done = world.master.init(catalog({"keyless": 'class = "reference"'}), check=False)
        said = done.stdout + done.stderr
        if done.returncode == 0:  # installed, and said: the table does not travel
            said += str(world.master.findings())
        assert "keyless" in said and complaint in said.lower(), said
        published = world.master.query("SELECT tablename FROM pg_publication_tables WHERE pubname = 'domicile_reference'")
        assert ("keyless",) not in published
    finally:
        for region in world.regions.values():
            with unguarded(region) as c:
                c.execute("DROP TABLE app.keyless")
            region.init()
    world.master.execute("UPDATE app.seat SET label = label || ',' WHERE id = 10")
    world.in_step(seconds=60)
