"""integrations/python with the real SQLAlchemy 2, Flask and an ASGI application, against a guarded region."""

import asyncio
import random
import sys
import threading
import traceback

import pytest
from flask import Flask, jsonify
from support.arena import PASSWORD, Arena
from support.domicile import ROOT
from support.packages import python_packages
from support.pgbouncer import PgBouncer

sys.path.insert(0, str(ROOT / "integrations" / "python"))
import domicile as dom  # noqa: E402
from domicile import asgi, wsgi  # noqa: E402

REQUESTS = 1200


@pytest.fixture(scope="module")
def alchemy():
    sys.path.insert(0, str(python_packages("sqlalchemy[asyncio]==2.0.*")))
    sys.modules.pop("typing_extensions", None)  # the distribution's is too old for it
    import sqlalchemy
    assert sqlalchemy.__version__.startswith("2.")
    return sqlalchemy


@pytest.fixture(scope="module")
def arena():
    built = Arena("bigint")
    yield built
    built.drop()


def url(arena, port=None):
    return f"postgresql+psycopg://app_pool:{PASSWORD}@127.0.0.1:{port or arena.cluster.port}/{arena.database}"


def guarded(alchemy, target, **kwargs):
    from domicile.sqlalchemy import install
    return install(alchemy.create_engine(target, connect_args={"prepare_threshold": None}, **kwargs))


@pytest.fixture
def engine(alchemy, arena):
    made = guarded(alchemy, url(arena), pool_size=3, max_overflow=0)
    yield made
    made.dispose()


def context(arena, key, **changes):
    return dom.Context(organization=key, epoch=1, token=arena.token(key, **changes))


ORGS = "SELECT DISTINCT org_id FROM app.course"


def test_every_transaction_of_a_session_enters_anew(alchemy, arena, engine):
    from sqlalchemy.orm import Session
    with dom.use(context(arena, arena.own)), Session(engine) as session:
        for end in (session.commit, session.rollback, session.commit):
            assert [str(k) for k in session.scalars(alchemy.text(ORGS))] == [arena.own]
            end()
        with pytest.raises(dom.WrongOrganization):
            with session.begin_nested():
                session.execute(alchemy.text("UPDATE app.course SET org_id = :o"), {"o": int(arena.other)})
        assert [str(k) for k in session.scalars(alchemy.text(ORGS))] == [arena.own]


def test_orm_objects_are_written_and_read_in_their_organization_alone(alchemy, arena, engine):
    from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

    class Base(DeclarativeBase):
        pass

    class Course(Base):
        __tablename__ = "course"
        __table_args__ = {"schema": "app"}
        org_id: Mapped[int] = mapped_column(alchemy.BigInteger, primary_key=True)
        id: Mapped[int] = mapped_column(alchemy.BigInteger, primary_key=True)
        title: Mapped[str]

    with dom.use(context(arena, arena.own)):
        with Session(engine) as session:
            session.add(Course(org_id=int(arena.own), id=801, title="new"))
            session.commit()
            session.add(Course(org_id=int(arena.other), id=802, title="foreign"))
            with pytest.raises(dom.WrongOrganization):
                session.commit()
    with dom.use(context(arena, arena.other)), Session(engine) as session:
        assert session.get(Course, (int(arena.own), 801)) is None


def test_missing_expired_and_foreign_contexts_are_exceptions_with_a_remedy(alchemy, arena, engine):
    with pytest.raises(dom.ContextMissing), engine.connect() as connection:
        connection.execute(alchemy.text("SELECT 1"))
    for change, error in (({"seconds": -20}, dom.ContextExpired), ({"epoch": 7}, dom.NotServedHere)):
        with dom.use(context(arena, arena.own, **change)), engine.connect() as connection:
            with pytest.raises(error) as caught:
                connection.execute(alchemy.text("SELECT 1"))
            assert caught.value.remedy in str(caught.value)
            assert "dc1~" not in "".join(traceback.format_exception(caught.value))  # no token in any log
    with dom.unscoped(), engine.connect() as connection:
        assert connection.scalar(alchemy.text("SELECT count(*) FROM app.country")) > 0
        with pytest.raises(dom.ContextMissing):
            connection.execute(alchemy.text(ORGS))
    with dom.use(context(arena, arena.own)), engine.connect() as connection:  # the pool is none the worse
        assert [str(k) for k in connection.scalars(alchemy.text(ORGS))] == [arena.own]


def test_autocommit_is_refused(alchemy, arena, engine):
    with dom.use(context(arena, arena.own)):
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            with pytest.raises(dom.AutocommitRefused):
                connection.execute(alchemy.text("SELECT 1"))


def test_a_transaction_does_not_change_its_organization(alchemy, arena, engine):
    with dom.use(context(arena, arena.own)), engine.connect() as connection:
        connection.execute(alchemy.text("SELECT 1"))
        with dom.use(context(arena, arena.other)), pytest.raises(dom.WrongOrganization):
            connection.execute(alchemy.text("SELECT 1"))


def test_tasks_of_two_organizations_over_one_asynchronous_engine_never_see_each_other(alchemy, arena):
    from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
    from domicile.sqlalchemy import install

    async def main():
        engine = install(create_async_engine(url(arena), pool_size=3, max_overflow=0))

        async def one(key):
            with dom.use(context(arena, key)):
                async with AsyncSession(engine) as session:
                    await asyncio.sleep(0)
                    return [str(k) for k in await session.scalars(alchemy.text(ORGS))] == [key]
        found = await asyncio.gather(*(one(key) for key in (arena.own, arena.other) * 150))
        await engine.dispose()
        return found
    assert all(asyncio.run(main()))


def headers(arena, key, **changes):
    return {"Domicile-Organization": key, "Domicile-Epoch": "1", "Domicile-Context": arena.token(key, **changes),
            "Domicile-Request-Id": "r-1", "Domicile-Permissions": "courses:read"}


def test_concurrent_requests_of_two_organizations_through_flask_and_pgbouncer_never_mix(alchemy, arena):
    app = Flask("shop")
    app.wsgi_app = wsgi.ContextMiddleware(app.wsgi_app)
    app.config["PROPAGATE_EXCEPTIONS"] = True
    with PgBouncer(arena.cluster.port, arena.database, {"app_pool": PASSWORD}, "transaction", pool_size=3) as bouncer:
        engine = guarded(alchemy, url(arena, bouncer.port), pool_size=6, max_overflow=0)

        @app.get("/courses")
        def courses():
            with engine.connect() as connection:
                return jsonify([str(k) for k in connection.scalars(alchemy.text(ORGS))])

        @app.get("/stream")
        def stream():
            def rows():
                with engine.connect() as connection:
                    for key in connection.scalars(alchemy.text(ORGS)):
                        yield str(key)
            return rows()

        wrong = []

        def work(seed):
            chance = random.Random(seed)
            client = app.test_client()
            for _ in range(REQUESTS // 8):
                key = chance.choice([arena.own, arena.other])
                answer = client.get("/courses", headers=headers(arena, key))
                if answer.json != [key]:
                    wrong.append((key, answer.status, answer.text))

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong, wrong[:3]
        client = app.test_client()
        assert client.get("/stream", headers=headers(arena, arena.other)).text == arena.other
        refused = client.get("/courses")
        assert refused.status_code == 500 and refused.json["reason"] == "context_missing"
        late = client.get("/courses", headers=headers(arena, arena.own, seconds=-30))
        assert late.status_code == 503 and late.json == {"type": "about:blank", "title": "Service Unavailable", "status": 503,
                                                         "reason": "context_expired", "request_id": "r-1"}
        assert dom.current() is None
        engine.dispose()


def test_the_asgi_middleware_carries_the_context_and_answers_for_its_errors(arena):
    async def application(scope, receive, send):
        if scope["path"] == "/refused":
            raise dom.NotServedHere("moved")
        body = f"{dom.required().organization} {dom.required().request_id}".encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    async def call(path, fields):
        sent = []

        async def send(message):
            sent.append(message)
        raw = [(name.lower().encode(), value.encode()) for name, value in fields.items()]
        await asgi.ContextMiddleware(application)({"type": "http", "path": path, "headers": raw}, None, send)
        return sent[0]["status"], b"".join(m.get("body", b"") for m in sent)

    async def main():
        both = await asyncio.gather(*(call("/", headers(arena, key)) for key in (arena.own, arena.other)))
        return both, await call("/refused", headers(arena, arena.own)), await call("/", {})
    both, refused, bare = asyncio.run(main())
    assert both == [(200, f"{key} r-1".encode()) for key in (arena.own, arena.other)]
    assert refused[0] == 503 and b"not_served_here" in refused[1]
    assert bare[0] == 500 and b"context_missing" in bare[1]
