"""`domicile up`: regions start from nothing, stop in order, and come back whatever killed them."""

import os
import re
import signal
import socket
import time

import pytest
from support.local_regions import LocalRegions, alive, wait_until

REGIONS = ("ca-central-1", "us-east-1")


@pytest.fixture(scope="module")
def regions():
    local = LocalRegions()
    try:
        local.first = local.up()
        yield local
    finally:
        local.drop()


def answers(regions, region: str) -> bool:
    return regions.get(regions.region(region)["url"] + "/readyz")[0] == 200


def all_answer(regions):
    wait_until(lambda: all(answers(regions, r) for r in REGIONS), 60, "both doors answer")


def put_mark(regions, number: int):
    for region in REGIONS:
        with regions.superuser(region) as db:
            db.execute("INSERT INTO learning.schema_version (version) VALUES (%s)", [number])


def marks(regions) -> list[list[int]]:
    found = []
    for region in REGIONS:
        with regions.superuser(region) as db:
            found.append([r[0] for r in db.execute("SELECT version FROM learning.schema_version ORDER BY 1").fetchall()])
    return found


def test_both_regions_answer_and_the_summary_says_where(regions):
    status = regions.status()
    assert status["running"]
    assert [r["id"] for r in status["regions"] if r["master"]] == ["ca-central-1"]
    for region in status["regions"]:
        assert region["running"] == {"postgresql": True, "node": True, "application": True}
        assert region["url"] in regions.first.stdout
        assert answers(regions, region["id"])
        assert region["ports"]["postgresql"] != 5432


def test_progress_says_every_step(regions):
    for region in REGIONS:
        for step in ("creating a PostgreSQL cluster", "loading the application's schema", "starting the node"):
            assert re.search(rf"{region} .*{step}", regions.first.stderr), regions.first.stderr


def test_nothing_but_the_supervisor_runs_as_root(regions):
    for service in regions.services():
        owner = os.stat(f"/proc/{regions.pid(service)}").st_uid
        assert owner != 0 or os.geteuid() != 0, service


def test_secrets_are_readable_by_their_owner_only_and_in_no_command_line(regions):
    for region in REGIONS:
        for file in (regions.data / "regions" / region / "secrets").iterdir():
            assert file.stat().st_mode & 0o077 == 0, file
            if file.suffix != ".pgpass":
                assert "password=" not in file.read_text()
                continue
            password = file.read_text().strip().rsplit(":", 1)[1]
            for service in regions.services():
                pid = regions.pid(service)
                assert password.encode() not in open(f"/proc/{pid}/cmdline", "rb").read()
                assert password.encode() not in open(f"/proc/{pid}/environ", "rb").read()


def test_the_superuser_cannot_come_over_tcp(regions):
    import psycopg
    region = regions.region("us-east-1")
    password = (regions.data / "regions/us-east-1/secrets/postgres.pgpass").read_text().strip().rsplit(":", 1)[1]
    with pytest.raises(psycopg.OperationalError, match="pg_hba.conf rejects"):
        psycopg.connect(f"host=127.0.0.1 port={region['ports']['postgresql']} user=postgres password={password}")


def test_the_publisher_opens_the_applications_database_and_copies_no_server(regions):
    import psycopg
    port = regions.region("ca-central-1")["ports"]["postgresql"]
    login = f"host=127.0.0.1 port={port} user=learning_publisher passfile={regions.data}/regions/ca-central-1/secrets/learning_publisher.pgpass"
    with psycopg.connect(f"{login} dbname=learning", autocommit=True) as db:
        assert db.execute("SELECT rolreplication, rolsuper FROM pg_roles WHERE rolname = current_user").fetchone() == (True, False)
        assert db.execute("SHOW wal_level").fetchone() == ("logical",)
    for database in ("postgres", "domicile_registry"):
        with pytest.raises(psycopg.OperationalError, match="pg_hba.conf rejects"):
            psycopg.connect(f"{login} dbname={database}")
    with pytest.raises(psycopg.OperationalError, match="no pg_hba.conf entry for replication"):
        psycopg.connect(f"{login} replication=true")


def test_a_second_up_in_the_same_folder_is_refused(regions):
    again = regions.up(check=False)
    assert again.returncode == 1
    assert "already run" in again.stderr and str(regions.supervisor()) in again.stderr


@pytest.mark.parametrize("service", ["us-east-1-node", "us-east-1-application", "us-east-1-postgresql"])
def test_a_killed_program_comes_back(regions, service):
    pid = regions.pid(service)
    os.kill(pid, signal.SIGKILL)
    run_file = regions.data / "run" / f"{service}.pid"
    wait_until(lambda: run_file.exists() and regions.pid(service) != pid, 30, f"{service} runs again")
    all_answer(regions)
    assert "ended by signal 9" in (regions.data / "log" / "up.log").read_text()


def test_a_killed_supervisor_takes_its_programs_along_and_the_next_start_loses_nothing(regions):
    put_mark(regions, 101)
    pids = [regions.pid(s) for s in regions.services()]
    assert len(pids) == 6
    supervisor = regions.supervisor()
    os.kill(supervisor, signal.SIGKILL)
    wait_until(lambda: not any(alive(p) for p in pids), 30, "the kernel tells every program to stop")
    regions.up()
    all_answer(regions)
    assert all(101 in each for each in marks(regions))


def test_everything_killed_at_once_comes_back(regions):
    put_mark(regions, 102)
    supervisor = regions.supervisor()
    pids = [regions.pid(s) for s in regions.services()]
    os.kill(supervisor, signal.SIGSTOP)  # or it would start them again, or its end would end them softly
    for pid in [*pids, supervisor]:
        os.kill(pid, signal.SIGKILL)
    regions.up()
    all_answer(regions)
    assert all(102 in each for each in marks(regions))


def test_down_stops_everything_in_order_and_a_second_start_takes_seconds(regions):
    before = regions.status()
    supervisor = regions.supervisor()
    regions.down()
    assert not alive(supervisor) and regions.services() == []
    log = (regions.data / "log" / "up.log").read_text()
    order = [re.search(r"stopping the (\w+)", line).group(1) for line in log.splitlines() if "stopping the" in line][-6:]
    assert order == ["node", "node", "application", "application", "database", "database"]
    assert not regions.status()["running"]

    started = time.monotonic()
    again = regions.up()
    seconds = time.monotonic() - started
    assert seconds < 15, f"{seconds:.1f} s\n{again.stderr}"
    assert "creating" not in again.stderr and "loading" not in again.stderr
    assert [r["ports"] for r in regions.status()["regions"]] == [r["ports"] for r in before["regions"]]
    all_answer(regions)


def test_stopping_twice_is_no_error(regions):
    regions.down()
    done = regions.down()
    assert done.returncode == 0 and "no regions run" in done.stdout
    regions.up()


def test_a_port_taken_by_others_is_replaced_and_said(regions):
    regions.down()
    region = regions.region("us-east-1")
    with socket.socket() as taken, socket.socket() as taken_too:
        for number, s in ((region["ports"]["door"], taken), (region["ports"]["postgresql"], taken_too)):
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(("127.0.0.1", number))
            s.listen()
        done = regions.up()
        assert re.search(rf"us-east-1 .*port {region['ports']['door']} is taken", done.stderr), done.stderr
        assert re.search(rf"us-east-1 .*port {region['ports']['postgresql']} is taken", done.stderr)
        all_answer(regions)
        moved = regions.region("us-east-1")
        assert moved["url"] != region["url"]
