"""What a node keeps of the registry, through failures: the real binary, a real PostgreSQL."""

import json
import os
import shutil
import signal
import subprocess
import time

import pytest
from support.domicile import binary, domicile
from support.postgres import BIN, _as_server_user
from support.registry import Registry


@pytest.fixture
def registry():
    from support.postgres import Cluster
    server = Cluster()
    made = Registry(server)
    made.init()
    for number in range(1, 6):
        made.org("create", str(number), "--slug", f"org-{number}", "--region", "us-east-1", "--no-wait")
    yield made
    server.drop()


@pytest.fixture
def directory(tmp_path):
    folder = tmp_path / "state"
    folder.mkdir()
    return folder


def fetch(registry, directory, check=True):
    return domicile("--output", "json", "registry", "fetch", "--directory", directory,
                    "--registry-dsn-file", registry.reader_file, check=check)


def lookup(directory, key, check=True):
    return domicile("registry", "lookup", key, "--directory", directory, check=check)


def test_with_the_registry_down_the_known_are_served_and_the_unknown_refused(registry, directory):
    assert json.loads(fetch(registry, directory).stdout)["organizations"] == 5
    registry.cluster.kill()
    down = fetch(registry, directory, check=False)
    assert down.returncode == 3
    assert "us-east-1 active epoch 1" in lookup(directory, "3").stdout
    unknown = lookup(directory, "99", check=False)
    assert unknown.returncode == 1 and "does not know 99" in unknown.stderr


def test_changes_arrive_and_epochs_with_them(registry, directory):
    before = json.loads(fetch(registry, directory).stdout)
    registry.org("suspend", "2", "--no-wait")
    registry.org("create", "6", "--slug", "org-6", "--region", "ca-central-1", "--no-wait")
    after = json.loads(fetch(registry, directory).stdout)
    assert after["former_revision"] == before["revision"] and after["revision"] == before["revision"] + 2
    assert "suspended epoch 2" in lookup(directory, "2").stdout
    assert "ca-central-1" in lookup(directory, "6").stdout


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "other"])
def test_a_damaged_snapshot_is_refused_and_fetched_anew(registry, directory, damage):
    fetch(registry, directory)
    file = directory / "registry.snapshot"
    whole = file.read_bytes()
    middle = len(whole) // 2
    file.write_bytes({"flip": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1:],
                      "cut": whole[:-1], "empty": b"", "other": b"hello" * 100}[damage])
    refused = lookup(directory, "3", check=False)
    assert refused.returncode == 2 and "registry snapshot" in refused.stderr
    again = fetch(registry, directory)
    assert json.loads(again.stdout)["former_revision"] == 0
    assert file.read_bytes() == whole


def test_a_restored_registry_is_not_followed_back(registry, directory):
    """A dump is taken, the registry goes on, the dump is restored; then it even overtakes."""
    connection = {"PGPASSWORD": registry.cluster.password}
    dump = subprocess.run([*_as_server_user(), BIN / "pg_dump", "-h", "127.0.0.1", "-p", str(registry.cluster.port), "-U", "postgres",
                           "-Fc", registry.database], env={**os.environ, **connection}, check=True, capture_output=True, cwd="/").stdout
    registry.org("suspend", "2", "--no-wait")
    seen = json.loads(fetch(registry, directory).stdout)
    with registry.cluster.connect() as admin:
        admin.execute(f"DROP DATABASE {registry.database} WITH (FORCE)")
    registry.cluster.create_database(registry.database, owner="registrar")
    subprocess.run([*_as_server_user(), BIN / "pg_restore", "-h", "127.0.0.1", "-p", str(registry.cluster.port), "-U", "postgres",
                    "-d", registry.database], input=dump, env={**os.environ, **connection}, check=True, cwd="/")
    back = fetch(registry, directory, check=False)
    assert back.returncode == 1 and "registry_went_back" in back.stderr
    for number in range(20, 24):
        registry.org("create", str(number), "--slug", f"org-{number}", "--region", "us-east-1", "--no-wait")
    diverged = fetch(registry, directory, check=False)
    assert diverged.returncode == 1 and "registry_diverged" in diverged.stderr
    assert "suspended epoch 2" in lookup(directory, "2").stdout, "the last good snapshot stays"

    # Losing the snapshot does not make the node believe the older history either.
    (directory / "registry.snapshot").unlink()
    still = fetch(registry, directory, check=False)
    assert still.returncode == 1 and "registry_diverged" in still.stderr
    # The operator's decision: both files away.
    (directory / "registry.mark").unlink()
    assert json.loads(fetch(registry, directory).stdout)["revision"] > seen["revision"]


def test_kill_9_at_any_moment_leaves_a_whole_snapshot(registry, directory):
    with registry.connect() as c:
        for start in range(0, 3000, 500):
            c.execute("SELECT count(domicile_registry.create_organization(NULL, 'k' || n, 'kill-' || n, 'us-east-1', '{}'))"
                      " FROM generate_series(%s::int, %s) n", (start, start + 499))
    whole = directory / "registry.snapshot"
    finished = 0
    for round_number in range(25):
        if round_number % 2:
            shutil.rmtree(directory)
            directory.mkdir()
        process = subprocess.Popen([str(binary()), "registry", "fetch", "--directory", str(directory), "--registry-dsn-file",
                                    str(registry.reader_file)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        time.sleep(0.012 * round_number)  # a different moment each time, not a wait for something
        process.send_signal(signal.SIGKILL)
        process.communicate()
        finished += process.returncode == 0
        if whole.exists():
            assert "us-east-1 active" in lookup(directory, "k2999").stdout
    assert json.loads(fetch(registry, directory).stdout)["organizations"] == 3005
