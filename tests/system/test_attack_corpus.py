"""Every case of tests/attacks/*.toml against a guarded region, each as a test of its own.

DOMICILE_ATTACK_KEYS=bigint,uuid,text (the default) chooses the key types.
"""

import os

import pytest
from support.arena import Arena
from support.attack_case import Case, load
from support.attack_driver import Bout

KEY_TYPES = tuple(os.environ.get("DOMICILE_ATTACK_KEYS", "bigint,uuid,text").split(","))


@pytest.fixture(scope="module")
def arenas():
    """One arena for each key type, built when the first case asks for it."""
    built: dict[str, Arena] = {}

    def arena(key_type: str) -> Arena:
        if key_type not in built:
            built[key_type] = Arena(key_type)
        return built[key_type]

    yield arena
    for one in built.values():
        one.drop()


@pytest.mark.parametrize("case", load(KEY_TYPES), ids=lambda case: case.id)
def test_attack(case: Case, arenas):
    arena = arenas(case.key_type)
    if not case.fresh:
        Bout(arena, case, arena.database).play()
        return
    with arena.fresh() as database:
        Bout(arena, case, database).play()
