"""Regions in networks of their own: nothing but the wire between them, which is cut in silence, unplugged, and made as long as an
ocean."""

import subprocess

import pytest
from support.reference_world import CANADA, US, ReferenceWorld, eventually
from support.two_networks import TwoNetworks, why_not

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())


@pytest.fixture(scope="module")
def networks():
    with TwoNetworks() as made:
        yield made


@pytest.fixture(scope="module")
def world(networks):
    with ReferenceWorld(networks={CANADA: networks.a, US: networks.b}) as made:
        made.start()
        yield made


@pytest.fixture(autouse=True)
def mended(networks, world):
    yield
    networks.late_ms = 0
    networks.heal()
    world.in_step(seconds=90)
    world.applied_once()


def work(world, first: int, count: int = 50):
    with world.master.connect() as c, c.transaction():
        c.execute("INSERT INTO app.ledger SELECT %s + i, i FROM generate_series(1, %s) i", (first, count))
        c.execute("UPDATE app.seat SET label = label || '.' WHERE id % 3 = 0")


def test_the_databases_cannot_reach_each_other(world, networks):
    """What crosses is between the nodes: neither namespace has a way to the other's server."""
    for side, region in ((networks.a, world.replica), (networks.b, world.master)):
        for address in ("127.0.0.1", networks.a.address, networks.b.address):
            done = subprocess.run([*side.run, "pg_isready", "-q", "-t", "2", "-h", address, "-p", str(region.cluster.port)])
            assert done.returncode != 0, (side.name, address)
    work(world, 1000)


@pytest.mark.parametrize("how", ["cut", "unplug"])
def test_a_wire_without_anything_and_back(world, networks, how):
    world.caught_up()
    getattr(networks, how)()
    first = {"cut": 2000, "unplug": 3000}[how]
    work(world, first)
    assert all(node.is_ready() for node in world.nodes.values()), "each region goes on serving"
    assert world.replica.one("SELECT count(*) FROM app.ledger WHERE id > %s", [first])[0] == 0
    networks.heal()
    world.in_step(seconds=90)


def test_a_long_silence_is_said_and_ends_by_itself(world, networks):
    world.caught_up()
    networks.cut()
    work(world, 4000)
    eventually(lambda: world.replica.source()["state"] == "unreachable", 90, lambda: f"{world.replica.source()}")
    networks.heal()
    world.in_step(seconds=90)


def test_an_ocean_between_them(world, networks):
    networks.lengthen(75)  # a round trip of 150 ms more
    for number in range(20):
        work(world, 5000 + number * 10, 5)
    world.in_step(seconds=60)
    # The heartbeat's way is one trip and what storing takes, not a queue of requests.
    eventually(lambda: (world.replica.source()["lag_ms_last"] or 9999) < 1000, 30, lambda: f"{world.replica.source()}")
