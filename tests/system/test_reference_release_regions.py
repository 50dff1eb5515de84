"""A release is published in the master region and holds in all regions: readers everywhere see the old or the new one."""

import json
import subprocess
import threading

import pytest
from support.domicile import binary, domicile
from support.reference_world import CANADA, EUROPE, US, PASSWORD, ReferenceWorld, eventually


@pytest.fixture(scope="module")
def world():
    with ReferenceWorld((CANADA, US, EUROPE)) as made:
        for person in ("ann", "bob"):
            made.master.execute(f"CREATE ROLE {person} LOGIN PASSWORD '{PASSWORD}'; GRANT domicile_editor TO {person}")
        made.start()
        yield made


def release(world, person: str, *arguments):
    done = subprocess.run([str(binary()), "-q", "--output", "json", "reference", "release", arguments[0], "--dsn", world.master.dsn(person), *arguments[1:]],
                          text=True, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def approved(world, name: str, *statements: str):
    release(world, "ann", "create", name)
    for statement in statements:
        release(world, "ann", "add", name, "--sql", statement)
    release(world, "ann", "submit", name)
    release(world, "bob", "approve", name)


def holds(region) -> str:
    return region.one("SELECT name FROM domicile.reference_release()")[0]


def everywhere(world, name: str):
    for region in world.regions.values():
        eventually(lambda r=region: holds(r) == name, 30, lambda r=region: f"{name} holds in {r.name}, not {holds(r)}; {r.source()}")


READ = """SELECT (domicile.reference_release()).name, (SELECT string_agg(DISTINCT payload, ' ') FROM app.heavy WHERE id >= 100000),
  (SELECT max(id) FROM app.heavy), (SELECT string_agg(DISTINCT CASE WHEN label LIKE '%(new)' THEN 'new' ELSE 'old' END, ' ') FROM app.seat)"""


def test_readers_of_every_region_see_one_release_whole(world):
    world.master.execute("INSERT INTO app.heavy (id, payload) SELECT g, 'old' FROM generate_series(100000, 102000) g; UPDATE app.seat SET label = 'seat ' || id")
    world.in_step()
    approved(world, "spring", "UPDATE app.heavy SET payload = 'new' WHERE id >= 100000; UPDATE app.seat SET label = label || ' (new)'",
             "DELETE FROM app.heavy WHERE id = 102000; INSERT INTO app.heavy (id, payload) VALUES (102001, 'new')")
    seen, stop = {r.name: set() for r in world.replicas}, threading.Event()

    def read(region):
        with region.connect("pool") as c:
            while not stop.is_set():
                seen[region.name].add(c.execute(READ).fetchone())

    readers = [threading.Thread(target=read, args=(region,)) for region in world.replicas]
    for reader in readers:
        reader.start()
    try:
        release(world, "ann", "publish", "spring")
        everywhere(world, "spring")
        release(world, "bob", "rollback")
        everywhere(world, "")
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    for name, found in seen.items():
        assert found <= {("", "old", 102000, "old"), ("spring", "new", 102001, "new")} and len(found) == 2, (name, found)
    world.in_step()


def test_what_was_published_while_a_region_was_away_holds_when_it_is_back(world):
    gone = world.nodes[EUROPE]
    gone.stop()
    approved(world, "summer", "UPDATE app.seat SET label = label || '!' WHERE id = 1")
    release(world, "ann", "publish", "summer")
    eventually(lambda: holds(world.replica) == "summer", 30, lambda: holds(world.replica))
    assert holds(world.regions[EUROPE]) == ""
    gone.start()
    everywhere(world, "summer")
    release(world, "ann", "rollback")
    everywhere(world, "")
    world.in_step()


def test_a_region_that_copies_anew_has_the_release_that_holds(world):
    approved(world, "autumn", "UPDATE app.seat SET label = label || '?' WHERE id = 1")
    release(world, "ann", "publish", "autumn")
    everywhere(world, "autumn")
    domicile("-q", "reference", "resync", "--dsn", world.replica.dsn("node"))
    eventually(lambda: not world.replica.one("SELECT resync FROM domicile.reference_source")[0], 30, lambda: str(world.replica.source()))
    world.in_step(seconds=60)
    everywhere(world, "autumn")


def test_the_steps_are_in_the_master_s_event_log(world):
    def operations():
        return [(e.get("api", {}).get("operation") or json.dumps(e)) for e in world.publisher.events() if "reference.release_" in json.dumps(e)]
    eventually(lambda: len([o for o in operations() if "publish" in o]) >= 3, 30, lambda: str(operations()))
    text = "\n".join(json.dumps(e) for e in world.publisher.events())
    for step in ("create", "add", "submit", "approve", "publish", "rollback"):
        assert f"reference.release_{step}" in text
    assert '"ann"' in text and '"bob"' in text
