"""Reference sync while everything around it fails. After each failure both sides are equal, nothing was stored twice, and the stream
goes on by itself. DOMICILE_TEST_EVERY_POINT=1 breaks at every single message instead of a sample."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import time

import pytest
from support.postgres import scratch_folder
from support.reference_faults import FaultyWorld, crash, sample
from support.reference_world import eventually

LIBRARY = next(iter(sorted(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)


@pytest.fixture(scope="module")
def world():
    with FaultyWorld(fsync=True) as made:
        made.start()
        yield made


@pytest.fixture(autouse=True)
def sound(world):
    yield
    for node in world.nodes.values():
        if not node.running():
            node.start()
    world.sound()


def node_of(world, side):
    return world.publisher if side == "publisher" else world.applier


def break_at(world, node, point: int, when: str, how: str):
    proxy = world.proxies[node]
    proxy.arm(point, when, node.kill if how == "kill" else None)
    for _ in range(200):  # heartbeats count too, and work makes more
        world.work()
        if proxy.fired.wait(0.2):
            break
    assert not proxy.disarm(), f"point {point} was never reached: {proxy.last}"
    if how == "kill":
        node.start()
    try:
        world.sound()
    except AssertionError as error:
        raise AssertionError(f"{how} of the {node.region.login} {when} message {point}: {list(proxy.last)}\n{error}") from error


@pytest.mark.parametrize("how", ["cut", "kill"])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("side", ["applier", "publisher"])
def test_a_break_at_any_statement(world, side, when, how):
    node = node_of(world, side)
    proxy = world.proxies[node]
    world.caught_up()
    before = proxy.messages
    world.work()
    world.caught_up()
    for point in sample(max(proxy.messages - before, 3), 3):
        break_at(world, node, point, when, how)


@pytest.mark.parametrize("side", ["applier", "publisher"])
def test_a_break_at_any_statement_of_the_copy(world, side):
    node = node_of(world, side)
    proxy = world.proxies[node]
    before = proxy.messages
    world.resync()
    world.caught_up()
    points = sample(proxy.messages - before, 3)
    for number, point in enumerate(points):
        proxy.arm(point, ("before", "after")[number % 2], node.kill if number % 2 else None)
        world.replica.execute("SELECT domicile.resync_reference()", "node")
        assert proxy.fired.wait(30), f"{point} of {points}: {list(proxy.last)}"
        if not node.running():
            node.start()
        world.in_step(seconds=60)


def test_either_node_is_killed_again_and_again(world):
    for round_number in range(6):
        node = node_of(world, ("applier", "publisher")[round_number % 2])
        world.work()
        node.kill()
        world.work()
        node.start()
    world.sound()


@pytest.mark.parametrize("side", ["replica", "master"])
def test_either_server_crashes(world, side):
    region = world.replica if side == "replica" else world.master
    for _ in range(2):
        world.work()
        crash(region.cluster)
        world.work()
    world.sound()


def test_a_crash_of_the_replicas_server_in_a_large_transaction(world):
    world.caught_up()
    world.master.execute("INSERT INTO app.heavy SELECT i, md5(i::text) FROM generate_series(1, 150000) i")
    eventually(lambda: world.replica.one("SELECT count(*) > 0 FROM pg_stat_activity WHERE usename = 'applier' AND state <> 'idle'")[0], 20,
               lambda: "the applier is at work")
    crash(world.replica.cluster)
    world.sound()
    world.master.execute("TRUNCATE app.heavy")


def test_a_silent_network_and_one_that_breaks(world):
    world.link.cut()
    for _ in range(3):
        world.work()
    assert all(node.is_ready() for node in world.nodes.values()), "both go on serving"
    world.link.heal()
    world.sound()
    for _ in range(6):
        world.work()
        world.link.reset()
    world.sound()


def test_a_slow_network(world):
    world.link.slow(bytes_per_second=500_000, late=0.05)
    try:
        world.master.execute("INSERT INTO app.heavy SELECT i, repeat(md5(i::text), 10) FROM generate_series(1, 3000) i")
        world.caught_up(seconds=60)  # apart from what follows: a key that changes makes a group be stored row by row
        world.work()
        world.sound()
    finally:
        world.link.slow()
    world.master.execute("TRUNCATE app.heavy")


def test_two_appliers_of_one_region(world):
    second = world.second_applier()
    second.start()
    for _ in range(3):
        world.work()
    world.sound()
    world.applier.kill()
    world.work()
    world.sound()  # the second took over
    world.applier.start()
    second.kill()
    world.work()
    world.sound()


@pytest.mark.skipif(os.geteuid() != 0, reason="a small file system needs root")
def test_a_full_disk_in_the_replica(world):
    folder = scratch_folder("domicile-disk-")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m,mode=0700,uid=postgres", "tmpfs", folder], capture_output=True).returncode != 0:
        shutil.rmtree(folder)
        pytest.skip("no file system can be mounted here")
    try:
        world.master.execute("TRUNCATE app.heavy")
        world.caught_up()
        world.replica.execute("VACUUM FULL app.heavy")  # rows that other tests left dead would fill the disk by themselves
        world.replica.execute(f"CREATE TABLESPACE small LOCATION '{folder}'")
        world.replica.execute("ALTER TABLE app.heavy SET TABLESPACE small")
        world.master.execute("INSERT INTO app.heavy SELECT i, md5(i::text) || md5((-i)::text) FROM generate_series(1, 200000) i")
        eventually(lambda: world.replica.source()["state"] != "streaming", 60, lambda: f"{world.replica.source()}")
        assert world.replica.one("SELECT count(*) FROM app.heavy") == (0,)
        subprocess.run(["mount", "-o", "remount,size=200m", folder], check=True)
        world.work()
        world.sound()
        world.master.execute("TRUNCATE app.heavy")
        world.in_step()
        world.replica.execute("ALTER TABLE app.heavy SET TABLESPACE pg_default")
        world.replica.execute("DROP TABLESPACE small")
    finally:
        subprocess.run(["umount", "-l", folder], check=False)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.skipif(LIBRARY is None, reason="libfaketime is not installed (Debian: faketime)")
@pytest.mark.parametrize("side", ["applier", "publisher"])
def test_a_clock_that_jumps(world, side):
    node = node_of(world, side)
    with tempfile.TemporaryDirectory(prefix="domicile-clock-") as name:
        clock = pathlib.Path(name) / "clock"
        clock.write_text("+0")
        node.stop()
        node.environment = {**os.environ, "LD_PRELOAD": str(LIBRARY), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1",
                            "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        try:
            node.start()
            for jump in ("+2h", "-2h", "+0"):
                clock.write_text(jump)
                world.work()
                world.sound()
        finally:
            node.stop()
            node.environment = None
            node.start()


def test_the_lag_recovers_by_itself(world):
    world.applier.stop()
    for _ in range(5):
        world.work()
    world.applier.start()
    world.sound()

    def small():
        source = world.replica.source()
        return source["lag_ms_last"] is not None and source["lag_ms_last"] < 1000
    eventually(small, 30, lambda: f"{world.replica.source()}")


def test_nodes_learn_of_an_organization_within_a_second_also_while_the_stream_is_down(world):
    def took(key: str) -> float:
        with world.registry.connect() as c:
            c.execute("SELECT domicile_registry.create_organization(NULL, %s, %s, 'us-east-1', '{}')", (key, f"org-{key}"))
            begin = time.monotonic()
        eventually(lambda: world.replica.one("SELECT 1 FROM domicile.organizations() WHERE key = %s AND homed", [key]), 20, lambda: f"{key} is homed")
        return time.monotonic() - begin
    assert took("501") < 1
    world.replica.execute("ALTER ROLE applier NOLOGIN")
    try:
        world.proxies[world.applier].cut()
        world.work()
        eventually(lambda: "applier" in world.applier.text(), 20, lambda: world.applier.text()[-2000:])
        assert took("502") < 1
        assert world.applier.is_ready()
    finally:
        world.replica.execute("ALTER ROLE applier LOGIN")
    world.sound()
