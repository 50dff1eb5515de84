"""Reference data travels from its master region to the others: everything arrives, once, in order, as it was, whatever the tables
are like; and nobody else writes there."""

import psycopg
import pytest
from support.reference_world import CANADA, EUROPE, US, ReferenceWorld, eventually


@pytest.fixture(scope="module")
def world():
    with ReferenceWorld() as made:
        made.start()
        yield made


@pytest.fixture(autouse=True)
def together(request):
    """Every test leaves both sides equal."""
    yield
    if "world" in request.fixturenames:
        request.getfixturevalue("world").in_step()


def test_the_first_copy_holds_everything_that_was_there(world):
    world.in_step()
    assert len(world.replica.rows("course")) >= 5 and len(world.replica.rows("price")) == 32
    source = world.replica.source()
    assert source["region"] == CANADA and source["state"] == "streaming"
    (identifier,) = world.master.one("SELECT system_identifier::text FROM pg_control_system()")
    assert source["system_identifier"] == identifier
    copied = world.replica.query("SELECT table_name FROM domicile.reference_table WHERE schema_name = 'app' AND copied_lsn IS NOT NULL ORDER BY 1")
    assert sorted(name for (name,) in copied) == sorted(world.tables)
    world.applied_once()


@pytest.mark.parametrize("change", [
    "INSERT INTO app.ledger SELECT i, -i FROM generate_series(1000, 1100) i",
    "UPDATE app.course SET price = price + 1 WHERE code IN ('toast', 'words')",
    "UPDATE app.course SET body = body || '.' WHERE code = 'toast'",
    "UPDATE app.course SET meta = NULL, tags = '{x}', at = NULL, raw = NULL WHERE code = 'words'",
    "UPDATE app.whole SET words = NULL, extra = 'x' WHERE id = 1; UPDATE app.whole SET words = 'back' WHERE words IS NULL",
    "UPDATE app.whole SET id = id + 100; DELETE FROM app.whole WHERE id = 101; INSERT INTO app.whole VALUES (101, NULL, NULL)",
    "DELETE FROM app.price WHERE day = '2026-01-02'; INSERT INTO app.price SELECT id, '2026-01-02', 3 FROM app.course",
    "UPDATE app.price SET day = day + 3650 - 3650, amount = 0 WHERE day < '2026-01-01'",
    'UPDATE app."Odd ""Table" SET "Naïve, name" = repeat(\'é"\\\', 5000) WHERE "from" > \'00000000-0000-0000-0000-000000000001\'',
], ids=["inserts", "untouched-toast", "toast", "nulls", "full-identity", "full-identity-keys", "partitions", "between-partitions", "odd-names"])
def test_a_change_arrives_as_it_was(world, change):
    with world.master.connect() as c, c.transaction():
        for statement in change.split("; "):
            c.execute(statement)
    world.in_step()


def test_a_row_that_moves_between_partitions_moves_there_too(world):
    world.master.execute("UPDATE app.price SET day = '2026-12-31' WHERE day = '2025-12-28'")
    world.in_step()
    (count,) = world.replica.one("SELECT count(*) FROM app.price_2026 WHERE day = '2026-12-31'")
    assert count == 4


def test_keys_are_swapped_within_one_transaction(world):
    with world.master.connect() as c, c.transaction():
        c.execute("UPDATE app.seat SET label = 'none' WHERE id = 1")
        c.execute("UPDATE app.seat SET label = 'seat 1' WHERE id = 2")
        c.execute("UPDATE app.seat SET label = 'seat 2' WHERE id = 1")
        c.execute("UPDATE app.seat SET id = 1000 WHERE id = 3")
        c.execute("UPDATE app.seat SET id = 3 WHERE id = 4")
        c.execute("UPDATE app.seat SET id = 4 WHERE id = 1000")
    world.in_step()


def test_labels_rotate_through_many_transactions(world):
    """Each transaction alone is fine; what several of them come to together is not in every order."""
    with world.master.connect() as c:
        for _ in range(20):
            c.execute("UPDATE app.seat SET label = 'spare' WHERE id = 5")
            for seat in range(6, 15):
                c.execute("UPDATE app.seat SET label = (SELECT 'moved ' || label FROM app.seat WHERE id = %s) WHERE id = %s", (seat, seat - 1))
            c.execute("DELETE FROM app.seat WHERE id = 14")
            c.execute("INSERT INTO app.seat VALUES (14, 'seat 6 again')")
            c.execute("UPDATE app.seat SET label = 'seat ' || id WHERE id BETWEEN 5 AND 14")
    world.in_step()


def test_a_row_comes_and_goes_and_comes_within_a_transaction(world):
    with world.master.connect() as c, c.transaction():
        for name in ("one", "two", "three"):
            c.execute("INSERT INTO app.subject VALUES ('fleeting', %s)", (name,))
            c.execute("UPDATE app.subject SET name = name || '!' WHERE code = 'fleeting'")
            c.execute("DELETE FROM app.subject WHERE code = 'fleeting'")
        c.execute("INSERT INTO app.subject VALUES ('stays', 'stays', 'fleeting-parent')")
        c.execute("INSERT INTO app.subject VALUES ('fleeting-parent', 'parent')")
    world.in_step()


def test_tables_that_refer_to_each_other_and_to_themselves(world):
    with world.master.connect() as c, c.transaction():
        c.execute("INSERT INTO app.author SELECT i, 'author ' || i, 1000 + i FROM generate_series(100, 300) i")
        c.execute("INSERT INTO app.book SELECT 1000 + i, 'book ' || i, i FROM generate_series(100, 300) i")
    world.in_step()
    with world.master.connect() as c, c.transaction():
        c.execute("DELETE FROM app.author WHERE id >= 100")
        c.execute("DELETE FROM app.book WHERE id >= 1000")
    world.in_step()


def test_truncate_alone_and_with_what_refers_to_it(world):
    world.master.execute("TRUNCATE app.whole")
    world.in_step()
    with world.master.connect() as c, c.transaction():
        c.execute("INSERT INTO app.heavy SELECT i, 'before' FROM generate_series(1, 10) i")
        c.execute("TRUNCATE app.heavy")
        c.execute("INSERT INTO app.heavy SELECT i, 'after' FROM generate_series(5, 15) i")
        c.execute("TRUNCATE app.author, app.book")
        c.execute("INSERT INTO app.author VALUES (1, 'Ann', NULL)")
        c.execute("INSERT INTO app.whole VALUES (1, 'w', 'e')")
    world.in_step()


def test_sequences_are_ahead_of_what_came(world):
    world.master.execute("INSERT INTO app.course (code) SELECT 'seq ' || i FROM generate_series(1, 30) i")
    world.in_step()
    (highest,) = world.master.one("SELECT max(id) FROM app.course")

    def ahead():
        (last,) = world.replica.one("SELECT last_value FROM pg_sequences WHERE schemaname = 'app' AND sequencename = 'course_id_seq'")
        return last is not None and last >= highest
    eventually(ahead, 30, lambda: "the sequence in the replica is behind the rows")


def test_a_large_transaction_needs_no_large_memory(world):
    before = memory_mb(world.applier)
    world.master.execute("INSERT INTO app.heavy SELECT i, md5(i::text) FROM generate_series(1000000, 1999999) i")
    world.caught_up(seconds=180)
    (count, total) = world.replica.one("SELECT count(*), sum(hashtextextended(payload, id)) FROM app.heavy WHERE id >= 1000000")
    assert (count, total) == world.master.one("SELECT count(*), sum(hashtextextended(payload, id)) FROM app.heavy WHERE id >= 1000000")
    for node in (world.applier, world.publisher):
        assert memory_mb(node) - before < 256, f"{node.region.name}: {memory_mb(node)} MB at most, {before} MB before"
    world.master.execute("DELETE FROM app.heavy WHERE id >= 1000000")
    world.in_step(seconds=180)


def memory_mb(node) -> int:
    """The most it ever had."""
    line = next(x for x in open(f"/proc/{node.process.pid}/status") if x.startswith("VmHWM"))
    return int(line.split()[1]) // 1024


def test_what_is_rolled_back_never_arrives(world):
    with world.master.connect(autocommit=False) as c:
        c.execute("INSERT INTO app.ledger VALUES (5000, 1)")
        c.execute("SAVEPOINT inner_one")
        c.execute("INSERT INTO app.ledger VALUES (5001, 1)")
        c.execute("ROLLBACK TO SAVEPOINT inner_one")
        c.execute("INSERT INTO app.ledger VALUES (5002, 1)")
        c.commit()
        c.execute("INSERT INTO app.ledger VALUES (5003, 1)")
        c.rollback()
    world.in_step()
    assert world.replica.query("SELECT id FROM app.ledger WHERE id >= 5000 ORDER BY 1") == [(5000,), (5002,)]


@pytest.mark.parametrize("who", ["installer", "pool", "node", "postgres", "owner"])
def test_nobody_else_writes_reference_data_in_a_replica(world, who):
    for statement in ("INSERT INTO app.seat VALUES (999, 'mine')", "UPDATE app.seat SET label = label || '!'", "DELETE FROM app.seat",
                      "TRUNCATE app.heavy"):
        with world.replica.connect("postgres" if who == "owner" else who) as c:
            if who == "owner":
                c.execute("SET SESSION AUTHORIZATION app_owner")
            with pytest.raises(psycopg.Error) as refused:
                c.execute(statement)
            assert refused.value.sqlstate in ("23514", "42501"), (who, statement, refused.value)
    with world.replica.connect() as c:  # with triggers switched off, as replication workers do it
        c.execute("SET session_replication_role = replica")
        with pytest.raises(psycopg.errors.CheckViolation):
            c.execute("UPDATE app.seat SET label = label || '!'")


def test_rows_of_organizations_never_cross(world):
    """The stream carries reference tables only, whatever else is written in the same transactions."""
    world.organization("7", CANADA)
    with world.master.connect() as c, c.transaction():
        c.execute("INSERT INTO app.enrolment SELECT 7, i, (SELECT min(id) FROM app.course) FROM generate_series(1, 5) i")
        c.execute("UPDATE app.seat SET label = label WHERE id = 1")
    world.in_step()
    assert world.replica.one("SELECT count(*) FROM app.enrolment") == (0,)
    published = world.master.query("SELECT DISTINCT schemaname || '.' || tablename FROM pg_publication_tables WHERE pubname = 'domicile_reference'")
    assert {f"app.{t}" for t in world.tables} <= {t for (t,) in published}
    assert "app.enrolment" not in {t for (t,) in published}
    world.master.execute("DELETE FROM app.enrolment")


@pytest.mark.parametrize("part", ["applier", "publisher", "both", "replica-server", "master-server"])
def test_every_part_restarts_and_goes_on(world, part):
    world.master.execute("INSERT INTO app.ledger SELECT (SELECT max(id) FROM app.ledger) + i, i FROM generate_series(1, 100) i")
    nodes = {"applier": [world.applier], "publisher": [world.publisher], "both": [world.applier, world.publisher]}.get(part, [])
    for node in nodes:
        node.stop()
    if part == "replica-server":
        world.replica.cluster.stop()
    if part == "master-server":
        world.master.cluster.stop()
        world.master.cluster.start()
    world.master.execute("INSERT INTO app.ledger SELECT (SELECT max(id) FROM app.ledger) + i, i FROM generate_series(1, 100) i")
    if part == "replica-server":
        world.replica.cluster.start()
    for node in reversed(nodes):
        node.start()
    world.master.execute("INSERT INTO app.ledger SELECT (SELECT max(id) FROM app.ledger) + i, i FROM generate_series(1, 100) i")
    world.in_step(seconds=60)
    world.applied_once()


def test_every_batch_is_an_event_on_both_sides(world):
    world.master.execute("UPDATE app.seat SET label = label || '.' WHERE id < 5")
    world.in_step()

    def of(node, operation):
        return [e for e in node.events() if e.get("unmapped", {}).get("operation") == operation]
    for node, operation in ((world.applier, "reference.apply"), (world.publisher, "reference.publish")):
        found = eventually(lambda n=node, o=operation: of(n, o), 20, lambda o=operation: f"an event {o}")
        text = str(found[-1])
        for word in ("tables", "rows", "bytes", "from", "to", "sha256"):
            assert word in text, (word, text)
        assert "app.seat" in "".join(map(str, found))


def test_three_regions_follow_one_master():
    with ReferenceWorld((CANADA, US, EUROPE)) as three:
        three.start()
        three.in_step()
        three.nodes[EUROPE].stop()
        three.master.execute("INSERT INTO app.ledger SELECT i, i FROM generate_series(2000, 4000) i")
        three.in_step(three.regions[US])
        assert three.regions[EUROPE].one("SELECT max(id) < 2000 FROM app.ledger") == (True,)
        three.nodes[EUROPE].start()
        three.in_step()
        slots = three.master.query("SELECT slot_name FROM pg_replication_slots WHERE slot_type = 'logical' ORDER BY 1")
        assert slots == [("domicile_eu_west_1",), ("domicile_us_east_1",)]
        for region in three.replicas:
            three.applied_once(region)
