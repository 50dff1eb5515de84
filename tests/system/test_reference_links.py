"""Columns of reference tables that point into organizations' data: what the catalog says of them holds on every way a row takes."""

import json

import pytest

from support.domicile import domicile
from support.reference_schema import SCHEMA, catalog
from support.reference_world import ReferenceWorld, eventually

TEMPLATES = SCHEMA + """
CREATE TABLE app.template (id bigint PRIMARY KEY, title text NOT NULL, made_by bigint, body text, reviewed_by bigint);
ALTER TABLE app.template ALTER body SET STORAGE EXTERNAL;
ALTER TABLE app.template OWNER TO app_owner;
"""
BODY = 'class = "reference"\nlinks = { made_by = "refuse", reviewed_by = "drop" }'
CONTENT = ("INSERT INTO app.template VALUES (1, 'free', NULL, repeat('x', 9000), 70), (2, 'bound', 7, NULL, NULL)")


@pytest.fixture(scope="module")
def world():
    with ReferenceWorld(schema=TEMPLATES, catalog_text=catalog({"template": BODY}), content=CONTENT) as world:
        world.start()
        yield world


def there(world):
    return world.replica.query("SELECT id, title, made_by, reviewed_by FROM app.template ORDER BY id")


def test_the_copy_leaves_both_at_home(world):
    assert there(world) == [(1, "free", None, None)]


def test_the_stream_leaves_both_at_home(world):
    world.master.execute("INSERT INTO app.template VALUES (3, 'stays', 9, NULL, 1), (4, 'goes', NULL, NULL, 90)")
    world.master.execute("UPDATE app.template SET reviewed_by = 71, title = 'freed' WHERE id = 1")
    world.caught_up()
    assert there(world) == [(1, "freed", None, None), (4, "goes", None, None)]


def test_a_row_that_comes_to_point_at_an_organization_is_taken_back_elsewhere(world):
    world.master.execute("UPDATE app.template SET made_by = 5 WHERE id IN (1, 4)")
    world.caught_up()
    assert there(world) == []
    world.master.execute("UPDATE app.template SET made_by = NULL WHERE id = 4")
    world.caught_up()
    assert there(world) == [(4, "goes", None, None)]


def test_a_comparison_holds_both_to_the_same_rule(world):
    done = domicile("reference", "compare", "--dsn-file", world.replica.secret("compare.dsn", world.replica.dsn("node")), "--table", "app.template",
                    "--output", "json", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["tables"][0]["master_rows"] == 1


def test_a_changed_rule_holds_from_then_on(world):
    world.master.init(catalog({"template": 'class = "reference"\nlinks = { reviewed_by = "refuse" }'}))
    world.replica.init(catalog({"template": 'class = "reference"\nlinks = { reviewed_by = "refuse" }'}))
    world.master.execute("INSERT INTO app.template VALUES (5, 'bound now', NULL, NULL, 3)")

    def settled():
        world.master.execute("INSERT INTO app.template VALUES (6, 'free now', NULL, NULL, NULL) ON CONFLICT DO NOTHING")
        return world.replica.one("SELECT count(*) FROM app.template WHERE id = 6")[0] == 1
    eventually(settled, 30, lambda: f"{there(world)} {world.applier.text()[-2000:]}")
    assert world.replica.one("SELECT count(*) FROM app.template WHERE id = 5")[0] == 0
