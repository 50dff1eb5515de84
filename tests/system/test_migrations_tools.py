"""Migrations as the usual tools write them, against a real guarded region: they pass, or are refused with the
remedy, and the check says which before they run. Alembic and Django are the real ones (from PyPI)."""

import os
import pathlib
import subprocess
import sys
import textwrap
import tomllib

import psycopg
import pytest
from support.domicile import ROOT, domicile, domicile_json
from support.other_postgres import fetched
from support.region import TABLES, Region

TOOLS = ROOT / "tests" / "migrations" / "tools"
EXPECT = tomllib.loads((TOOLS / "expect.toml").read_text())
CATALOGUED = {**TABLES,
              "Badge": 'class = "organization"\nkey = "orgId"\nplanned = true',
              "note": 'class = "organization"\nkey = "org_id"\nplanned = true',
              "badge": 'class = "organization"\nkey = "org_id"\nplanned = true',
              "alembic_version": 'class = "system"\nplanned = true',
              "django_migrations": 'class = "system"\nplanned = true'}
WORST = ("refused", "fails", "closed", "reported")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    one = Region(tmp_path_factory.mktemp("region"))
    one.write_catalog(tables=CATALOGUED)
    one.init("--superuser-dsn-file", one.superuser_file(), "--master")
    for org in (7, 8):
        one.home(str(org))
    with one.connect() as c:
        c.execute("INSERT INTO app.person VALUES (1, 'Ada'), (2, 'Bob')")
        for org in (7, 8):
            c.execute("INSERT INTO app.course (org_id, title) VALUES (%s, 'Title')", (org,))
            c.execute("INSERT INTO app.enrolment (id, org_id, person) VALUES (%s, %s, %s)", (org, org, org - 6))
    yield one
    one.drop()


@pytest.fixture
def database(server):
    """A copy of the region for one tool: (its connection string as the deploy login, region init again)."""
    name = f"copy_{os.urandom(4).hex()}"
    with server.cluster.connect() as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE app OWNER installer STRATEGY file_copy")
    dsn = server.dsn().replace("dbname=app", f"dbname={name}")
    init = lambda: server.init("--master", dsn=dsn)
    yield dsn, init
    with server.cluster.connect() as admin:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def outcome(findings) -> str:
    return next((one for one in WORST if one in {f["outcome"] for f in findings}), "ok")


def check(server, *paths, **kwargs):
    return domicile_json("catalog", "check", "--file", server.catalog_file, *[x for p in paths for x in ("--migrations", p)],
                         "--owner", "app_owner", "--placeholder", "reporting=pool", check=False, **kwargs)


def run(dsn: str, text: str, transaction: bool) -> str:
    """As these tools do: the whole file in one message, in a transaction, or statement by statement."""
    with psycopg.connect(dsn, autocommit=not transaction, options="-c role=app_owner") as c:
        try:
            c.execute(text)
            c.commit()
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.CheckViolation):
            return "refused"
    return "ok"


def up_of(text: str, tool: str) -> str:
    mark = {"dbmate": "-- migrate:down", "goose": "-- +goose Down"}.get(tool)
    return text.split(mark)[0] if mark else text.replace("${reporting}", "pool")


@pytest.mark.parametrize("tool", sorted(EXPECT))
def test_files_of_the_usual_tools(tool, server, database):
    dsn, init = database
    report = check(server, TOOLS / tool)
    assert report["migrations"] == len(EXPECT[tool])
    for name, wanted in EXPECT[tool].items():
        path = next(p for p in TOOLS.joinpath(tool).rglob("*.sql") if name in (p.stem, p.parent.name))
        mine = [f for f in report["findings"] if f["file"].endswith(str(path.relative_to(TOOLS)))]
        assert outcome(mine) == wanted, (name, mine)
        assert all(f["remedy"] for f in mine)
        text = path.read_text()
        happened = run(dsn, up_of(text, tool), "CONCURRENTLY" not in text)
        assert happened == ("refused" if wanted == "refused" else "ok"), name
        if happened == "ok":
            init()
    with psycopg.connect(dsn, autocommit=True) as c:
        assert c.execute("SELECT kind, object FROM domicile.violations() v WHERE v.severity = 'refuse' AND NOT v.known").fetchall() == []


# ---- the real tools

def python_tools() -> pathlib.Path:
    def fetch(folder: pathlib.Path):
        done = subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--target", str(folder), "--no-compile",
                               "alembic==1.20.1", "django==5.2.19", "psycopg[binary]>=3.2,<3.3"], capture_output=True, text=True, timeout=240)
        if done.returncode != 0:
            raise OSError(f"pip install alembic django: {done.stderr.strip()[-200:] or 'failed'}")
    return fetched("python-alembic-1.20.1-django-5.2.19-psycopg-3.2", fetch)


def tool(folder: pathlib.Path, *command, dsn: str, check: bool = True) -> subprocess.CompletedProcess:
    done = subprocess.run([sys.executable, *map(str, command)], cwd=folder, capture_output=True, text=True, timeout=120,
                          env={**os.environ, "PYTHONPATH": f"{python_tools()}:{folder}", "APP_DSN": dsn, "DJANGO_SETTINGS_MODULE": "settings"})
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def in_step(server, init, revisions, sql_of, migrate, fake):
    """Each revision: its SQL is checked, then the tool runs it, and both must agree."""
    for revision, wanted in revisions:
        report = check(server, sql_of(revision))
        assert outcome(report["findings"]) == wanted, (revision, report["findings"])
        done = migrate(revision)
        if wanted == "refused":
            assert done.returncode != 0 and ("domicile" in done.stderr or "permission denied" in done.stderr), (revision, done.stderr[-500:])
            fake(revision)
        else:
            assert done.returncode == 0, (revision, done.stderr[-2000:])
            init()


ALEMBIC_ENV = """
import os
from alembic import context
from sqlalchemy import create_engine
if context.is_offline_mode():
    context.configure(dialect_name="postgresql", version_table_schema="app", literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    import psycopg
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(os.environ["APP_DSN"], options="-c role=app_owner"))
    with engine.connect() as connection:
        context.configure(connection=connection, version_table_schema="app", transaction_per_migration=True)
        with context.begin_transaction():
            context.run_migrations()
"""
ALEMBIC = {
    "create": "op.create_table('badge', sa.Column('org_id', sa.BigInteger, nullable=False), sa.Column('id', sa.BigInteger, nullable=False),\n"
              "    sa.Column('label', sa.Text), sa.PrimaryKeyConstraint('org_id', 'id'), schema='app')",
    "add": "op.add_column('course', sa.Column('level', sa.Integer, server_default='1', nullable=False), schema='app')",
    "backfill": "op.execute(\"UPDATE app.course SET level = 2\")",
    "rename": "op.alter_column('course', 'title', new_column_name='name', schema='app')",
    "rename_key": "op.alter_column('enrolment', 'org_id', new_column_name='tenant', schema='app')",
    "index": "with op.get_context().autocommit_block():\n        op.create_index('course_level', 'course', ['org_id', 'level'], schema='app', postgresql_concurrently=True)",
    "unclassified": "op.create_table('leftover', sa.Column('id', sa.BigInteger, primary_key=True), schema='app')",
}


def test_alembic(server, database, tmp_path):
    dsn, init = database
    (tmp_path / "versions").mkdir()
    (tmp_path / "env.py").write_text(ALEMBIC_ENV)
    (tmp_path / "alembic.ini").write_text("[alembic]\nscript_location = .\n")
    before = None
    for name, body in ALEMBIC.items():
        (tmp_path / "versions" / f"{name}.py").write_text(
            f"import sqlalchemy as sa\nfrom alembic import op\nrevision = {name!r}\ndown_revision = {before!r}\n"
            f"def upgrade():\n    {body}\ndef downgrade():\n    pass\n")
        before = name
    unread = domicile("catalog", "check", "--file", server.catalog_file, "--migrations", tmp_path, check=False)
    assert unread.returncode == 2 and "alembic upgrade" in unread.stderr
    order = list(ALEMBIC)

    def sql_of(name):
        start = order[order.index(name) - 1] if order.index(name) else "base"
        path = tmp_path / f"{name}.sql"
        path.write_text(tool(tmp_path, "-m", "alembic", "upgrade", f"{start}:{name}", "--sql", dsn=dsn).stdout)
        return path

    in_step(server, init, [("create", "reported"), ("add", "ok"), ("backfill", "refused"), ("rename", "ok"), ("rename_key", "refused"),
                           ("index", "ok"), ("unclassified", "closed")], sql_of,
            lambda name: tool(tmp_path, "-m", "alembic", "upgrade", name, dsn=dsn, check=False),
            lambda name: tool(tmp_path, "-m", "alembic", "stamp", name, dsn=dsn))


DJANGO_SETTINGS = """
import os
import psycopg
parts = psycopg.conninfo.conninfo_to_dict(os.environ["APP_DSN"])
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": parts["dbname"], "USER": parts["user"], "PASSWORD": parts["password"],
                         "HOST": parts["host"], "PORT": parts["port"], "OPTIONS": {"options": "-c role=app_owner -c search_path=app"}}}
INSTALLED_APPS = ["shop"]
USE_TZ = True
SECRET_KEY = "x"
"""
DJANGO = {
    "0001_initial": "migrations.CreateModel('Badge', fields=[('id', models.BigAutoField(primary_key=True)), ('org_id', models.BigIntegerField(db_index=True)),"
                    " ('label', models.TextField())], options={'db_table': 'badge'})",
    "0002_add": "migrations.AddField('Badge', 'level', models.IntegerField(default=1))",
    "0003_backfill": "migrations.RunSQL('UPDATE course SET title = upper(title)')",
    "0004_rename": "migrations.RenameField('Badge', 'label', 'title')",
    "0005_python": "migrations.RunPython(lambda apps, editor: None)",
    "0006_index": "AddIndexConcurrently('Badge', models.Index(fields=['org_id', 'level'], name='badge_level'))",
}


def test_django(server, database, tmp_path):
    dsn, init = database
    folder = tmp_path / "shop" / "migrations"
    folder.mkdir(parents=True)
    (tmp_path / "settings.py").write_text(DJANGO_SETTINGS)
    for package in (tmp_path / "shop", folder):
        (package / "__init__.py").write_text("")
    before = ""
    for name, operation in DJANGO.items():
        (folder / f"{name}.py").write_text(textwrap.dedent(f"""
            from django.contrib.postgres.operations import AddIndexConcurrently
            from django.db import migrations, models
            class Migration(migrations.Migration):
                atomic = {"Concurrently" not in operation}
                dependencies = [{before}]
                operations = [{operation}]
            """))
        before = f"('shop', '{name}')"
    unread = domicile("catalog", "check", "--file", server.catalog_file, "--migrations", folder, check=False)
    assert unread.returncode == 2 and "sqlmigrate" in unread.stderr

    def sql_of(name):
        path = tmp_path / f"{name}.sql"
        path.write_text(tool(tmp_path, "-m", "django", "sqlmigrate", "shop", name, dsn=dsn).stdout)
        return path

    in_step(server, init, [("0001_initial", "reported"), ("0002_add", "ok"), ("0003_backfill", "refused"), ("0004_rename", "ok"),
                           ("0005_python", "ok"), ("0006_index", "ok")], sql_of,
            lambda name: tool(tmp_path, "-m", "django", "migrate", "shop", name, dsn=dsn, check=False),
            lambda name: tool(tmp_path, "-m", "django", "migrate", "--fake", "shop", name, dsn=dsn))
    report = check(server, tmp_path / "0005_python.sql")
    assert [f["kind"] for f in report["findings"]] == ["not_followed"]
