"""Releases of reference data: made by one person, approved by another, published and taken back in one transaction."""

import random
import subprocess

import psycopg
import pytest
from support.domicile import binary, domicile
from support.dumped import another_server, dsn
from support.releases import RENAME, approved, built, everything, holds, region, release, rows, state_of  # noqa: F401


def test_a_release_from_its_beginning_to_its_end(region):
    before = everything(region)
    assert holds(region) == ("", 0)
    release(region, "ann", "create", "spring", "--note", "new names")
    assert release(region, "ann", "add", "spring", "--sql", RENAME + "; INSERT INTO app.country VALUES ('MX', 'Mexico')")["changes"] == 2
    sql = region.folder / "more.sql"
    sql.write_text("INSERT INTO app.city (country, name) VALUES ('MX', 'Mérida');\nDELETE FROM app.city WHERE name = 'Toronto';\n")
    assert release(region, "ann", "add", "spring", "--file", sql)["changes"] == 2
    assert everything(region) == before and holds(region) == ("", 0)
    shown = release(region, "eve", "show", "spring")
    assert [(r["table"], r["was"] and r["was"].get("name"), r["becomes"] and r["becomes"].get("name")) for r in shown["rows"]] == [
        ("app.city", None, "Mérida"), ("app.city", "Toronto", None), ("app.country", "U.S.", "United States"), ("app.country", None, "Mexico")]
    text = subprocess.run([str(binary()), "reference", "release", "show", "spring", "--dsn", region.dsn("ann")], text=True, capture_output=True, check=True).stdout
    assert "~ app.country code=US\n      name: U.S. -> United States" in text and "+ app.country code=MX" in text
    digest = release(region, "ann", "submit", "spring")["hash"]
    assert release(region, "bob", "approve", "spring", "--seen", digest)["hash"] == digest
    done = release(region, "ann", "publish", "spring")
    assert (done["number"], done["holds"], done["changes"], done["repeated"]) == (1, "spring", 4, False)
    after = everything(region)
    assert '(US,"United States")' in after["country"] and "(MX,Mexico)" in after["country"]
    assert [r for r in after["city"] if "Mérida" in r and r.endswith(",12)")] and not [r for r in after["city"] if "Toronto" in r]
    assert holds(region) == ("spring", 1) and holds(region, "pool") == ("spring", 1)
    assert release(region, "stranger", "current")["release"] == "spring"
    back = release(region, "bob", "rollback")
    assert (back["number"], back["holds"], back["changes"]) == (2, "", 4)
    assert everything(region) == before and holds(region) == ("", 2)
    assert state_of(region, "spring") == "rolled_back"


def test_each_step_is_an_event_of_the_person_who_took_it(region):
    approved(region, "spring", RENAME)
    release(region, "eve", "publish", "spring")
    release(region, "eve", "rollback", "spring")
    release(region, "ann", "create", "summer")
    release(region, "ann", "add", "summer", "--sql", RENAME)
    release(region, "ann", "submit", "summer")
    release(region, "bob", "reject", "summer", "--reason", "not now")
    release(region, "ann", "discard", "summer")
    with region.connect() as c:
        noted = c.execute("SELECT replace(operation, 'reference.release_', ''), resource, by_operator FROM domicile_directory.outbox "
                          "WHERE resource LIKE 'release:%' ORDER BY id").fetchall()
    assert noted == [(step, f"release:{name}", who) for name, steps in (
        ("spring", [("create", "ann"), ("add", "ann"), ("submit", "ann"), ("approve", "bob"), ("publish", "eve"), ("rollback", "eve")]),
        ("summer", [("create", "ann"), ("add", "ann"), ("submit", "ann"), ("reject", "bob"), ("discard", "ann")])) for step, who in steps]


def test_no_author_decides_and_every_change_asks_again(region):
    release(region, "ann", "create", "spring")
    release(region, "ann", "add", "spring", "--sql", RENAME)
    assert "not submitted" in release(region, "bob", "approve", "spring", code=1)
    release(region, "ann", "submit", "spring")
    assert "second person" in release(region, "ann", "approve", "spring", code=1)
    assert "second person" in release(region, "ann", "reject", "spring", "--reason", "x", code=1)
    release(region, "bob", "approve", "spring")
    # Bob adds: he is an author now, and the approval is gone.
    release(region, "bob", "add", "spring", "--sql", "DELETE FROM app.city WHERE name = 'Boston'")
    assert state_of(region, "spring") == "draft"
    assert "not approved" in release(region, "ann", "publish", "spring", code=1)
    release(region, "ann", "submit", "spring")
    assert "second person" in release(region, "bob", "approve", "spring", code=1)
    assert "not what was looked at" in release(region, "eve", "approve", "spring", "--seen", "0" * 64, code=1)
    release(region, "eve", "approve", "spring")
    release(region, "ann", "publish", "spring")
    # Also by SQL: nobody steps into another's shoes.
    with region.connect("ann") as c, pytest.raises(psycopg.errors.InsufficientPrivilege):
        c.execute("SET ROLE bob")


def test_what_was_approved_is_what_is_published(region):
    approved(region, "spring", RENAME)
    with region.connect() as c:
        c.execute("UPDATE domicile.release_change SET new_row = '(US,Elsewhere)' WHERE operation = 'U'")
    assert "not what a second person approved" in release(region, "ann", "publish", "spring", code=1)
    assert "(US,U.S.)" in rows(region, "country")


def test_steps_may_be_repeated(region):
    for _ in range(2):
        release(region, "ann", "create", "spring", "--note", "n")
    assert release(region, "ann", "add", "spring", "--sql", RENAME)["repeated"] is False
    assert release(region, "ann", "add", "spring", "--sql", RENAME)["repeated"] is True
    for _ in range(2):
        release(region, "ann", "submit", "spring")
    for _ in range(2):
        release(region, "bob", "approve", "spring")
    assert release(region, "ann", "publish", "spring")["repeated"] is False
    assert release(region, "ann", "publish", "spring")["repeated"] is True
    assert release(region, "ann", "rollback", "spring")["repeated"] is False
    assert release(region, "ann", "rollback", "spring")["repeated"] is True
    assert "(US,U.S.)" in rows(region, "country") and holds(region) == ("", 2)
    release(region, "ann", "create", "summer")
    for _ in range(2):
        release(region, "ann", "discard", "summer")
    assert "there already" in release(region, "bob", "create", "summer", code=1)
    assert "history" in release(region, "ann", "discard", "spring", code=1)


def test_rows_that_somebody_changed_stop_it_whole(region):
    approved(region, "spring", RENAME, "INSERT INTO app.country VALUES ('MX', 'Mexico')", "DELETE FROM app.city WHERE name = 'Toronto'")
    with region.connect() as c:
        c.execute("UPDATE app.country SET name = 'USA' WHERE code = 'US'")
        c.execute("INSERT INTO app.country VALUES ('MX', 'Méjico')")
        c.execute("DELETE FROM app.city WHERE name = 'Toronto'")
    now = everything(region)
    assert len(release(region, "ann", "publish", "spring", "--dry-run", code=1)["conflicts"]) == 3
    said = release(region, "ann", "publish", "spring", code=1)
    assert "3 rows" in said and "nothing was changed" in said
    for what in ("app.country (US): it is another one now", "app.country (MX): it is there already", "it is gone"):
        assert what in said
    assert everything(region) == now and holds(region) == ("", 0)
    # The same on the way back.
    approved(region, "summer", "UPDATE app.country SET name = 'America' WHERE code = 'US'")
    release(region, "ann", "publish", "summer")
    with region.connect() as c:
        c.execute("UPDATE app.country SET name = 'USA!' WHERE code = 'US'")
    assert "app.country (US): it is another one now" in release(region, "ann", "rollback", code=1)
    assert "(US,USA!)" in rows(region, "country") and holds(region) == ("summer", 1)


def test_the_newest_publication_is_rolled_back_first(region):
    for name, word in (("one", "1"), ("two", "2"), ("three", "3")):
        approved(region, name, f"UPDATE app.country SET name = '{word}' WHERE code = 'US'")
        release(region, "ann", "publish", name)
    assert holds(region) == ("three", 3)
    assert "three was published after it" in release(region, "ann", "rollback", "two", code=1)
    for expected in (("two", 4, "2"), ("one", 5, "1"), ("", 6, "U.S.")):
        release(region, "ann", "rollback")
        assert holds(region) == expected[:2] and f"(US,{expected[2]})" in rows(region, "country")
    assert "no release is published" in release(region, "ann", "rollback", code=1)


FACTS = """
INSERT INTO app.fact (t, n, f, b, at, d, i, j, jb, a, u, m, c) VALUES
  (E'a,"b"\\\\c\\n(\\t)', 12345678901234567890.0123456789, 0.1, '\\x00ff', '2026-03-29 02:30:00.123456+01', '0044-03-15 BC', '1 mon -2 days 03:04:05.6', '{"b": 1, "a":  2, "b": 3}', '{"n": 1e400}', '[2:3]={1,NULL}', '0f2c9a7e-52a4-4f0e-9d55-6a1f0c1d2e01', '12.34', 'x'),
  ('', 'NaN', '-0', '', 'infinity', '-infinity', '0', 'null', 'null', '{}', NULL, NULL, NULL),
  (NULL, NULL, 'NaN', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  (repeat('long ', 100000), 1, '-Infinity', decode(repeat('ab', 50000), 'hex'), now(), current_date, '1 year', '[]', '{}', ARRAY[1], NULL, NULL, NULL)
"""


def test_every_type_comes_back_as_it_was(region):
    with region.connect() as c:
        c.execute(FACTS)
        before = c.execute("SELECT (f.*)::text, encode(float8send(f.f), 'hex') FROM app.fact f ORDER BY id").fetchall()
    # An author whose session writes dates and numbers in another way.
    with region.connect("ann") as c:
        c.execute("SET datestyle = 'German'; SET timezone = 'Asia/Kathmandu'; SET intervalstyle = 'sql_standard'; SET extra_float_digits = -5; SET bytea_output = 'escape'")
        c.execute("SELECT domicile.create_release('facts', '')")
        c.execute("SELECT domicile.add_to_release('facts', $$UPDATE fact SET t = coalesce(t, '') || 'x', n = coalesce(n, 0) + 1$$, 'app')")
        c.execute("SELECT domicile.add_to_release('facts', $$DELETE FROM fact WHERE f = 0.1; INSERT INTO fact (d) VALUES ('01.02.2026')$$, 'app')")
    release(region, "ann", "submit", "facts")
    release(region, "bob", "approve", "facts")
    release(region, "ann", "publish", "facts")
    with region.connect() as c:
        assert c.execute("SELECT count(*) FROM app.fact WHERE t LIKE '%x'").fetchone() == (3,)
        assert c.execute("SELECT count(*) FROM app.fact WHERE d = '2026-02-01'").fetchone() == (1,)
    release(region, "eve", "rollback")
    with region.connect() as c:
        assert c.execute("SELECT (f.*)::text, encode(float8send(f.f), 'hex') FROM app.fact f ORDER BY id").fetchall() == before


def test_large_values_that_do_not_change_are_not_written_again(region):
    with region.connect() as c:
        c.execute("INSERT INTO app.fact (t, n) SELECT string_agg(md5(g::text), ''), 1 FROM generate_series(1, 20000) g")
        toast = c.execute("SELECT reltoastrelid::regclass FROM pg_class WHERE oid = 'app.fact'::regclass").fetchone()[0]
        pieces = c.execute(f"SELECT count(*), min(xmin::text) FROM {toast}").fetchone()
    approved(region, "numbers", "UPDATE app.fact SET n = 2")
    release(region, "ann", "publish", "numbers")
    with region.connect() as c:
        assert c.execute(f"SELECT count(*), min(xmin::text) FROM {toast}").fetchone() == pieces


def test_partitions_are_one_table(region):
    with region.connect() as c:
        c.execute("INSERT INTO app.part VALUES (1, 'one'), (2, 'two'), (150, 'far')")
    before = rows(region, "part")
    approved(region, "parts", "UPDATE app.part SET name = upper(name); UPDATE app.part SET id = 151 WHERE id = 2; DELETE FROM app.part WHERE id = 1; INSERT INTO app.part VALUES (3, 'three')")
    assert {r["table"] for r in release(region, "ann", "show", "parts")["rows"]} == {"app.part"}
    release(region, "ann", "publish", "parts")
    assert rows(region, "part") == ["(150,FAR)", "(151,TWO)", "(3,three)"]
    release(region, "ann", "rollback")
    assert rows(region, "part") == before


def test_foreign_keys_and_keys_that_move_keep_their_order(region):
    with region.connect() as c:
        c.execute("INSERT INTO app.node VALUES (1, NULL), (2, 1), (3, 2)")
    before = everything(region)
    approved(region, "tree",
             "DELETE FROM app.node",  # parents and children in one statement
             "INSERT INTO app.node VALUES (10, 10), (11, 12), (12, 11)",
             "INSERT INTO app.country VALUES ('BR', 'Brazil'); INSERT INTO app.city (country, name) VALUES ('BR', 'Recife')",
             # names that swap, by way of a third one
             "UPDATE app.city SET name = 'x' WHERE name = 'Boston'; UPDATE app.city SET name = 'Boston' WHERE name = 'Toronto'; UPDATE app.city SET name = 'Toronto' WHERE name = 'x'",
             "DELETE FROM app.country WHERE code = 'CA'")  # takes its cities along
    release(region, "ann", "publish", "tree")
    after = everything(region)
    assert after["node"] == ["(10,10)", "(11,12)", "(12,11)"] and len(after["country"]) == 2
    assert sorted(r.split(",")[2] for r in after["city"]) == ["Recife", "Toronto"]
    release(region, "ann", "rollback")
    assert everything(region) == before


def test_what_foreign_keys_do_by_themselves_is_published_and_taken_back(region):
    with region.connect() as c:
        c.execute("INSERT INTO app.harbour VALUES (1, 'Boston'), (2, 'Boston'), (3, 'Toronto')")
    before = everything(region)
    approved(region, "cities", "UPDATE app.city SET name = 'Boston (MA)' WHERE name = 'Boston'", "DELETE FROM app.city WHERE name = 'Toronto'",
             "UPDATE app.city SET name = 'Boston, Massachusetts' WHERE name LIKE 'Boston%'; DELETE FROM app.harbour WHERE id = 2")
    release(region, "ann", "publish", "cities")
    assert rows(region, "harbour") == ['(1,"Boston, Massachusetts")', "(3,)"]
    release(region, "ann", "rollback")
    assert everything(region) == before


def any_statement(chance: random.Random) -> str:
    """None depends on the order in which the server comes to the rows."""
    n, m = chance.randrange(1, 12), chance.randrange(1, 12)
    return chance.choice([
        f"INSERT INTO app.country VALUES ('C{n}', 'name {m}')", f"UPDATE app.country SET name = 'n{m}' WHERE code = 'C{n}'",
        f"UPDATE app.country SET code = 'C{m}' WHERE code = 'C{n}'", f"DELETE FROM app.country WHERE code IN ('C{n}', 'C{m}')",
        f"INSERT INTO app.part SELECT g, 'p' || g FROM generate_series({n * 10}, {n * 10 + m}) g", f"UPDATE app.part SET id = 199 - id WHERE id % 3 = {n % 3}",
        f"UPDATE app.part SET name = name || '{m}' WHERE id % {n} = 0", f"DELETE FROM app.part WHERE id % {n + 1} = {m}",
        f"INSERT INTO app.node VALUES ({n}, NULL), ({n + 20}, {n})", f"UPDATE app.node SET parent = {m} WHERE id > {n}", f"DELETE FROM app.node WHERE id >= {n}",
        "UPDATE app.node SET parent = NULL; UPDATE app.node SET id = -id", f"INSERT INTO app.harbour SELECT {n}, name FROM app.city ORDER BY name LIMIT 1",
        f"UPDATE app.city SET name = name || '{n}' WHERE id % 2 = {m % 2}", f"DELETE FROM app.city WHERE name LIKE '%{n}'", "DELETE FROM app.country WHERE code = 'US'",
        f"UPDATE app.harbour SET id = -id WHERE id = {n}", f"UPDATE app.city SET country = 'CA' WHERE id % 2 = {m % 2}"])


@pytest.mark.parametrize("seed", [*range(10), 129, 139])
def test_whatever_an_author_does_is_published_as_it_was_and_taken_back(region, seed):
    """Random statements: the release makes of the tables what the statements alone make of them, and undoes all of it."""
    chance = random.Random(seed)
    before, done = everything(region), []
    with region.connect() as c:
        c.execute("BEGIN")
        for _ in range(25):
            statement = any_statement(chance)
            try:
                with c.transaction():
                    c.execute(statement)
                done.append(statement)
            except (psycopg.errors.IntegrityError, psycopg.errors.DataError):
                pass
        wanted = {table: sorted(r[0] for r in c.execute(f"SELECT (t.*)::text FROM app.{table} t").fetchall()) for table in before}
        c.execute("ROLLBACK")
    cut = chance.randrange(1, len(done))
    parts = ["; ".join(done[:cut]), "; ".join(done[cut:])]
    release(region, "ann", "create", "any")
    for part in parts:
        release(region, "ann", "add", "any", "--sql", part)
    assert everything(region) == before
    if wanted == before:
        return
    release(region, "ann", "submit", "any")
    release(region, "bob", "approve", "any")
    release(region, "ann", "publish", "any")
    assert everything(region) == wanted, done
    release(region, "ann", "rollback")
    assert everything(region) == before, done


def test_rows_whose_keys_move(region):
    with region.connect() as c:
        c.execute("INSERT INTO app.part VALUES (1, 'one'), (2, 'two'), (4, 'four'); INSERT INTO app.country VALUES ('A,\"B', 'odd'), (' x', 'blank')")
    before = everything(region)
    approved(region, "moves",
             "UPDATE app.part SET id = 3 WHERE id = 1; UPDATE app.part SET name = 'three' WHERE id = 3; UPDATE app.part SET id = 1 WHERE id = 2;"
             "UPDATE app.part SET id = 2 WHERE id = 3; INSERT INTO app.part VALUES (3, 'new')",
             "UPDATE app.part SET id = id + 100",  # into the other partition
             "DELETE FROM app.part WHERE id = 104; INSERT INTO app.part VALUES (4, 'again'); UPDATE app.part SET id = 104 WHERE id = 4",
             "UPDATE app.country SET code = code || '!' WHERE code NOT IN ('CA', 'US'); UPDATE app.country SET name = code WHERE code LIKE '%!'")
    release(region, "ann", "publish", "moves")
    assert rows(region, "part") == ["(101,two)", "(102,three)", "(103,new)", "(104,again)"]
    with region.connect() as c:
        assert c.execute("SELECT code, name FROM app.country WHERE code LIKE '%!' ORDER BY 1").fetchall() == [(" x!", " x!"), ('A,"B!', 'A,"B!')]
    release(region, "ann", "rollback")
    assert everything(region) == before
    # A key that the release needs free is taken by somebody else.
    with region.connect() as c:
        c.execute("UPDATE domicile.release SET state = 'approved'; INSERT INTO app.country VALUES (' x!', 'taken')")
    assert "it is there already" in release(region, "ann", "publish", "moves", code=1)


def test_releases_go_along_with_a_dump(region, tmp_path):
    approved(region, "spring", RENAME, "INSERT INTO app.part VALUES (5, 'five')")
    release(region, "ann", "publish", "spring")
    release(region, "ann", "create", "summer")
    before = everything(region)
    domicile("-q", "dump", tmp_path / "dump", "--dsn", region.dsn())
    elsewhere = another_server()
    try:
        elsewhere.create_database("app", owner="installer")
        with elsewhere.connect() as c:
            c.execute("CREATE ROLE ann LOGIN PASSWORD 'secret'; CREATE ROLE bob LOGIN PASSWORD 'secret'")
        domicile("-q", "restore", tmp_path / "dump", "--dsn", dsn(elsewhere), "--master")
        restored = Restored(elsewhere)
        domicile("-q", "region", "init", "--dsn", dsn(elsewhere), "--region", "ca", "--master", "--catalog", region.catalog_file, "--app-role", "pool",
                 "--node-role", "node")
        with elsewhere.connect("app") as c:
            c.execute("GRANT domicile_editor TO ann, bob")
            assert c.execute("SELECT name, number FROM domicile.reference_release()").fetchone() == ("spring", 1)
        assert everything(restored) == before and state_of(restored, "summer") == "draft"
        release(restored, "bob", "rollback")
        assert "(US,U.S.)" in rows(restored, "country") and rows(restored, "part") == []
        release(restored, "ann", "create", "autumn")  # numbers go on
    finally:
        elsewhere.drop()


class Restored:
    """What the helpers need of a region."""

    def __init__(self, cluster):
        self.cluster = cluster

    def dsn(self, user: str) -> str:
        return dsn(self.cluster, user)

    def connect(self, user: str = "postgres", **kwargs):
        return self.cluster.connect("app", user, None if user == "postgres" else "secret", **kwargs)
