"""Twelve kinds of writers in all isolation levels against the fence: nothing is stored after it holds.

DOMICILE_FENCES is the number of fences (default 60; the long form is 1000), DOMICILE_FENCE_SECONDS an upper
limit of the time for them.
"""

import os

import pytest
from support.arena import Arena
from support.domicile import domicile
from support.fence_race import KINDS, Race, fence_by_sql, fence_without_the_wait

FENCES = int(os.environ.get("DOMICILE_FENCES", "60"))
SECONDS = float(os.environ.get("DOMICILE_FENCE_SECONDS", "60"))


@pytest.fixture(scope="module")
def arena():
    built = Arena("bigint", {"max_connections": "60"})
    yield built
    built.drop()


def fence_by_command(race: Race, admin) -> bool:
    """The real fence: `domicile region fence`, which waits for the transactions in flight by itself."""
    done = domicile("region", "fence", "--dsn", race.arena.dsn("node_login", race.database), "--org", race.arena.own,
                    "--epoch", race.epoch, check=False)
    assert done.returncode in (0, 3), done.stderr
    return done.returncode == 0


def test_no_writer_gets_past_the_fence(arena):
    race = Race(arena, arena.database, fence_by_command)
    result = race.run(FENCES, SECONDS)
    print(result)
    assert result.leaks == 0, str(result)
    assert result.refused_fences <= 1 + result.fences // 20, f"fences gave up on a machine that is too busy: {result}"
    assert result.fences >= min(FENCES, 20), f"too few fences to say anything: {result}"
    for kind in KINDS:
        assert result.written[kind] > 0, f"{kind} never wrote: the race is not one"
        assert result.refused[kind] > 0, f"{kind} was never refused: the race is not one"
    assert set(result.states) <= {"23514", "42501", "40001", "40P01", "26000", "25P02", "55P03"}, result.states


def test_the_sql_functions_and_the_wait_are_the_fence(arena):
    """What a tool in another language would do with the same functions."""
    result = Race(arena, arena.database, fence_by_sql).run(max(FENCES // 4, 10), SECONDS / 3)
    print(result)
    assert result.leaks == 0, str(result)


def test_without_the_wait_the_same_race_leaks(arena):
    """The test can see a leak: with the wait taken out it finds them."""
    result = Race(arena, arena.database, fence_without_the_wait).run(40, SECONDS / 3)
    print(result)
    assert result.leaks > 0, f"the race finds no leak where there must be some: {result}"
