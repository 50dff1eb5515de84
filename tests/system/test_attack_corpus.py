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
    built: dict[str, Arena | Exception] = {}

    def arena(key_type: str) -> Arena:
        if key_type not in built:
            try:
                built[key_type] = Arena(key_type)
            except Exception as error:  # noqa: BLE001 - every case says so, and it is not built again for each
                built[key_type] = error
        found = built[key_type]
        if isinstance(found, Exception):
            raise found
        return found

    yield arena
    for one in built.values():
        if isinstance(one, Arena):
            one.drop()


def parameter(case: Case):
    marks = [pytest.mark.xfail(reason=case.open, strict=True)] if case.open else []
    return pytest.param(case, id=case.id, marks=marks)


@pytest.mark.parametrize("case", [parameter(case) for case in load(KEY_TYPES)])
def test_attack(case: Case, arenas):
    arena = arenas(case.key_type)
    if not case.fresh:
        Bout(arena, case, arena.database).play()
        return
    with arena.fresh() as database:
        Bout(arena, case, database).play()
