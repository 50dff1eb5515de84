"""What passes a limit is a finding until it is well again; and what a stranger in the database can do about the stream: nothing."""

import json

import psycopg
import pytest

from support.reference_world import ReferenceWorld, eventually

OPEN = "SELECT kind, object FROM domicile.reference_finding WHERE resolved_at IS NULL"


def limited(node, line: str):
    node.config.write_text(node.config.read_text().replace('compare_at = "off"', f'compare_at = "off"\n{line}'))


@pytest.fixture(scope="module")
def world():
    with ReferenceWorld() as world:
        limited(world.publisher, "slot_limit_mib = 1")
        limited(world.applier, "lag_limit_ms = 1000")
        world.start()
        yield world


def events(node, reason: str) -> int:
    return sum(1 for event in node.events() if event["metadata"]["event_code"] == "finding" and f'"{reason}"' in json.dumps(event))


def test_a_stream_that_is_down_for_too_long_is_a_finding_until_it_is_back(world):
    world.publisher.stop()
    eventually(lambda: ("lag_limit", "stream") in world.replica.query(OPEN), 30, lambda: world.applier.text()[-2000:])
    world.publisher.start()
    eventually(lambda: not world.replica.query(OPEN), 30, lambda: f"{world.replica.query(OPEN)} {world.applier.text()[-2000:]}")
    assert events(world.applier, "lag_limit") == 1


def test_a_slot_that_keeps_too_much_of_the_log_is_a_finding_until_it_is_read(world):
    world.applier.stop()
    world.master.execute("CREATE TABLE IF NOT EXISTS public.noise (t text); ALTER TABLE public.noise SET (autovacuum_enabled = false)")
    world.master.execute("INSERT INTO public.noise SELECT repeat(md5(i::text), 20) FROM generate_series(1, 5000) i")
    eventually(lambda: ("slot_limit", "us-east-1") in world.master.query(OPEN), 30, lambda: world.publisher.text()[-2000:])
    world.applier.start()
    eventually(lambda: not world.master.query(OPEN), 40, lambda: f"{world.master.query(OPEN)} {world.publisher.text()[-2000:]}")
    assert events(world.publisher, "slot_limit") == 1


def test_nobody_holds_the_applier_up_with_a_lock_that_anybody_may_take(world):
    world.applier.stop()
    with psycopg.connect(world.replica.dsn("pool"), autocommit=True) as stranger:
        for turn in (7236271390284111, 7236271390284112):
            stranger.execute("SELECT pg_advisory_lock(%s)", [turn])
        world.applier.start()
        world.in_step()
