"""`domicile up` with wrong input and in bad places: it says what is wrong, where, and what to do, and
leaves nothing half done."""

import os
import pathlib
import shutil
import signal
import subprocess

import pytest
from support.domicile import ROOT
from support.local_regions import LEARNING, LocalRegions, wait_until


@pytest.fixture
def regions():
    local = LocalRegions()
    yield local
    local.drop()


def with_config(regions: LocalRegions, change) -> pathlib.Path:
    folder = regions.folder / "example"
    shutil.copytree(LEARNING.parent, folder, ignore=shutil.ignore_patterns("__pycache__"))
    config = folder / "regions.toml"
    config.write_text(change(config.read_text()))
    regions.config = config
    return config


def test_every_error_of_the_file_is_shown_with_its_line(regions):
    config = with_config(regions, lambda text: text.replace('name = "learning"', 'name = "Learning Platform"')
                         .replace("master = true", "master = 1") + "colour = 2\n")
    done = regions.up(check=False)
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert any(line.startswith(f"domicile: {config}:4:") and "'name' names a database" in line for line in lines), lines
    assert any("'master' must be true or false" in line for line in lines)
    assert any("unknown key 'region.us-east-1.colour'" in line for line in lines)
    assert not regions.data.exists()


def test_a_missing_file_and_broken_toml(regions):
    regions.config = regions.folder / "nowhere.toml"
    done = regions.up(check=False)
    assert done.returncode == 2 and "nowhere.toml" in done.stderr and "--config" in done.stderr
    regions.config.write_text("[application\n")
    done = regions.up(check=False)
    assert done.returncode == 2 and "nowhere.toml:1:" in done.stderr
    assert not regions.data.exists()


def test_files_that_the_configuration_names_must_be_there(regions):
    with_config(regions, lambda text: text.replace('"schema.sql"', '"scheme.sql"')
                .replace('"/usr/bin/python3", "-m"', '"/usr/bin/python9", "-m"'))
    done = regions.up(check=False)
    assert done.returncode == 2
    assert "scheme.sql, which is not there" in done.stderr and "/usr/bin/python9 is not installed" in done.stderr
    assert not regions.data.exists()


def test_a_catalog_or_route_file_with_errors_is_refused_before_anything_starts(regions):
    with_config(regions, lambda text: text)
    routes = regions.config.parent / "routes.toml"
    routes.write_text(routes.read_text() + '\n[[route]]\nname = "half"\n')
    done = regions.up(check=False)
    assert done.returncode == 2, done.stderr
    assert "routes.toml:" in done.stderr
    assert not regions.data.exists()


def test_a_user_that_is_not_there(regions):
    if os.geteuid() != 0:
        pytest.skip("users are changed by root only")
    with_config(regions, lambda text: text + '\n[users]\npostgresql = "nobody-by-this-name"\n')
    done = regions.up(check=False)
    assert done.returncode == 2 and "nobody-by-this-name" in done.stderr
    assert not regions.data.exists()


def test_a_schema_that_fails_says_why_and_the_next_run_goes_on(regions):
    with_config(regions, lambda text: text)
    schema = regions.config.parent / "schema.sql"
    good = schema.read_text()
    schema.write_text(good + "\nCREATE TABLE learning.wrong (id nonsense);\n")
    done = regions.up(check=False)
    assert done.returncode == 2 and "schema.sql" in done.stderr and "nonsense" in done.stderr
    assert regions.services() == []
    schema.write_text(good)
    again = regions.up()
    assert "creating a PostgreSQL cluster" in again.stderr  # the second region's; the first one's is there
    assert again.stderr.count("creating a PostgreSQL cluster") == 1


def test_an_interrupted_set_up_goes_on_where_it_was(regions):
    """Killed outright at four moments of the set-up, and stopped politely at a fifth."""
    for moment, how in (("creating a PostgreSQL cluster", signal.SIGKILL), ("creating roles", signal.SIGKILL),
                        ("loading the application's schema", signal.SIGKILL), ("us-east-1", signal.SIGKILL),
                        ("starting the node", signal.SIGTERM)):
        process = regions.start_in_foreground()
        for line in process.stderr:
            if moment in line:
                break
        process.send_signal(how)
        process.communicate(timeout=60)
        assert process.returncode == (-how if how == signal.SIGKILL else 3)
    regions.up()
    assert all(all(r["running"].values()) for r in regions.status()["regions"])
    with regions.superuser("ca-central-1") as db:
        assert db.execute("SELECT count(*) FROM learning.country").fetchone()[0] > 200


def test_a_full_disk_is_said_before_anything_is_made(regions):
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    small = regions.folder / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", small], capture_output=True).returncode:
        pytest.skip("this machine does not let us mount a small disk")
    try:
        regions.data = small / "data"
        done = regions.up(check=False)
        assert done.returncode == 3 and "MB left" in done.stderr and "--data" in done.stderr
        assert not regions.data.exists()
    finally:
        subprocess.run(["umount", small], check=True)


def test_postgresql_that_is_missing_is_named_with_its_package(regions):
    if os.geteuid() != 0:
        pytest.skip("hiding PostgreSQL needs root")
    hide = "mount -t tmpfs tmpfs /usr/lib/postgresql && exec \"$@\""
    done = subprocess.run(["unshare", "--mount", "sh", "-c", hide, "sh",
                           *regions.command("up", "--config", regions.config)], text=True, capture_output=True)
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip("this machine has no mount namespaces")
    assert done.returncode == 3 and "apt-get install postgresql-15" in done.stderr
    assert not regions.data.exists()


def test_a_folder_of_another_application_is_refused(regions):
    regions.data.mkdir()
    (regions.data / "state.json").write_text('{"format": 1, "application": "shop", "config_file": "x", "regions": {}}')
    done = regions.up(check=False)
    assert done.returncode == 2 and "'shop'" in done.stderr and "--data" in done.stderr
    (regions.data / "state.json").write_text("nonsense")
    done = regions.up(check=False)
    assert done.returncode == 2 and "not a state file" in done.stderr


def test_the_checkout_may_lie_where_the_others_cannot_enter():
    assert ROOT.exists()
    regions = LocalRegions()
    try:
        with_config(regions, lambda text: text)
        closed = regions.config.parent
        closed.chmod(0o700)
        regions.up()
        wait_until(lambda: regions.get(regions.region("us-east-1")["url"] + "/readyz")[0] == 200)
    finally:
        regions.drop()
