"""integrations/node against the real pg, Drizzle, Knex, Express and Fastify (tests/integrations/pg.test.mjs), and Prisma,
Sequelize and Koa (orm.test.mjs)."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from support.arena import PASSWORD, Arena
from support.domicile import ROOT
from support.packages import node_packages
from support.pgbouncer import PgBouncer

PACKAGES = ["pg@8", "pg-cursor@2", "drizzle-orm@0.44", "knex@3", "express@4", "fastify@4"]
ORMS = ["pg@8", "prisma@6", "@prisma/client@6", "@prisma/adapter-pg@6", "sequelize@6", "koa@2"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    installed = node_packages(*PACKAGES)
    work = tmp_path_factory.mktemp("node")
    (work / "node_modules").symlink_to(installed / "node_modules")
    shutil.copytree(ROOT / "integrations" / "node", work / "domicile")
    for test in (ROOT / "tests" / "integrations").glob("*.mjs"):
        shutil.copy(test, work)
    return work


@pytest.fixture(scope="module")
def arena():
    built = Arena("bigint")
    yield built
    built.drop()


def run(folder, test, arena, **more) -> int:
    """How many of its tests passed; all have to."""
    kid, secret, database_id = arena.signing_key()
    given = {"dsn": url(arena, arena.cluster.port, "app_pool", PASSWORD), "superuser": url(arena, arena.cluster.port, "postgres", arena.cluster.password),
             "own": arena.own, "other": arena.other, "absent": arena.absent, "kid": kid, "secret": secret.hex(), "database_id": database_id, **more}
    done = subprocess.run(["node", "--test", "--test-reporter=tap", test], cwd=folder, text=True, capture_output=True, timeout=120,
                          env={**os.environ, "DOMICILE_TEST": json.dumps(given)})
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return int(re.search(r"^# pass (\d+)", done.stdout, re.M).group(1))


def url(arena, port, user, password):
    return f"postgresql://{user}:{password}@127.0.0.1:{port}/{arena.database}"


def test_every_transaction_enters_the_organization_of_its_request_and_no_other(folder, arena):
    with PgBouncer(arena.cluster.port, arena.database, {"app_pool": PASSWORD}, "transaction", pool_size=3) as bouncer:
        assert run(folder, "pg.test.mjs", arena, pgbouncer=url(arena, bouncer.port, "app_pool", PASSWORD)) >= 19


def test_prisma_sequelize_and_koa_keep_organizations_apart(arena, tmp_path):
    installed = node_packages(*ORMS)
    # Prisma's client is generated beside its packages, so they are copied.
    shutil.copytree(installed / "node_modules", tmp_path / "node_modules", symlinks=True)
    shutil.copytree(ROOT / "integrations" / "node", tmp_path / "domicile")
    for name in ("schema.prisma", "orm.test.mjs"):
        shutil.copy(ROOT / "tests" / "integrations" / name, tmp_path)
    # Its schema engine would be downloaded, and is not needed here.
    made = subprocess.run(["node", "node_modules/prisma/build/index.js", "generate", "--schema", "schema.prisma"], cwd=tmp_path, text=True, capture_output=True,
                          timeout=60, env={**os.environ, "PRISMA_SCHEMA_ENGINE_BINARY": "/bin/true", "CHECKPOINT_DISABLE": "1"})
    assert made.returncode == 0, made.stdout + made.stderr
    assert run(tmp_path, "orm.test.mjs", arena) >= 11


def test_python_and_node_name_the_same_errors(folder):
    sys.path.insert(0, str(ROOT / "integrations" / "python"))
    from domicile import errors
    script = ("import { TABLE } from './domicile/src/errors.js';"
              "console.log(JSON.stringify(TABLE.map(([s, c, p, k]) => [s, c, p, k.code, k.status])))")
    (folder / "table.mjs").write_text(script)
    done = subprocess.run(["node", "table.mjs"], cwd=folder, text=True, capture_output=True, timeout=30, check=True)
    assert json.loads(done.stdout) == [[s, c, p, kind.code, kind.status] for s, c, p, kind in errors.TABLE]


def test_the_type_declarations_name_what_there_is(folder):
    for name in ("index", "errors", "pg", "http", "jobs", "prisma", "sequelize"):
        declared = set(re.findall(r"export (?:function|class|const) (\w+)", (folder / f"domicile/src/{name}.d.ts").read_text()))
        (folder / "names.mjs").write_text(f"import * as all from './domicile/src/{name}.js'; console.log(Object.keys(all).join(' '))")
        done = subprocess.run(["node", "names.mjs"], cwd=folder, text=True, capture_output=True, timeout=30, check=True)
        exported = set(done.stdout.split())
        if name == "index":  # hands on what errors.js exports
            exported -= set(re.findall(r"export (?:function|class|const) (\w+)", (folder / "domicile/src/errors.d.ts").read_text()))
        assert declared == exported, name
