"""domicile doctor and domicile explain on real regions: each thing is broken, and named, with its remedy."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import time

import pytest
from support.domicile import domicile
from support.local_regions import LocalRegions
from support.postgres import free_port

HOME = "ca-central-1"


@pytest.fixture(scope="module")
def regions():
    local = LocalRegions()
    try:
        local.up()
        for key, region in (("7", HOME), ("8", HOME), ("9", "us-east-1")):
            domicile("org", "create", key, "--slug", f"school-{key}", "--region", region, "--ca-file", local.data / "ca.pem",
                     "--peer-token-file", local.data / "regions/ca-central-1/node/peer.token",
                     "--registry-dsn-file", local.region(HOME)["dsn_files"]["registry"])
        domicile("client", "create", "--id", "plain", "--org", "7", "--permission", "courses:read", "--dsn-file",
                 local.region(HOME)["dsn_files"]["node"], "--secret-file", local.folder / "plain.secret")
        yield local
    finally:
        local.drop()


def doctor(config, *more):
    done = domicile("--output", "json", "doctor", "--config", config, *more, check=False)
    report = json.loads(done.stdout)
    assert report["exit_code"] == done.returncode
    found = {}
    for finding in report["findings"]:
        found.setdefault(finding["check"], []).append(finding)
        assert finding["seen"] and (finding["health"] == "ok") == (finding["remedy"] == "")
    order = ["fail", "warn", "ok"]
    assert [order.index(f["health"]) for f in report["findings"]] == sorted(order.index(f["health"]) for f in report["findings"])
    return done.returncode, found


def worst(found, check):
    order = ["fail", "warn", "ok"]
    return min(found[check], key=lambda f: order.index(f["health"]))


@pytest.fixture
def copy(regions, tmp_path):
    """The node's folder, to be broken; the node itself goes on with its own."""
    original = pathlib.Path(regions.region(HOME)["node_config"]).parent
    folder = tmp_path / "a" / "b" / "node"
    shutil.copytree(original, folder, symlinks=True)
    for name in ("routes.toml", "roles.toml"):
        shutil.copy(regions.data / name, tmp_path / name)
    return folder / "node.toml"


def change(config: pathlib.Path, pattern: str, text: str):
    before = config.read_text()
    after = re.sub(pattern, lambda m: text, before)
    assert before != after, pattern
    config.write_text(after)


def test_a_well_node_has_nothing_to_fix(regions):
    code, found = doctor(regions.region(HOME)["node_config"])
    assert not [f for all_of in found.values() for f in all_of if f["health"] == "fail"], found
    assert code in (0, 1)
    for check in ("configuration", "secret_files", "database", "database_region_open", "node_role", "clock_database", "certificate",
                  "certificate_name", "certificate_chain", "certificate_key", "event_log", "registry", "snapshot", "node_ready",
                  "upstream", "peers", "clock_peers", "pooler", "routes", "roles", "server_version"):
        assert worst(found, check)["health"] == "ok", found[check]


def test_the_other_region_is_well_too_and_reaches_the_registry_over_its_peer(regions):
    _, found = doctor(regions.region("us-east-1")["node_config"])
    assert worst(found, "registry")["health"] == "ok" and worst(found, "snapshot")["health"] == "ok"


def test_a_faulty_configuration_is_the_one_finding(copy):
    copy.write_text(copy.read_text() + "\n[nonsense]\nx = 1\n")
    code, found = doctor(copy)
    assert code == 2 and list(found) == ["configuration"] and "nonsense" in found["configuration"][0]["seen"]


@pytest.mark.parametrize("file,text,mode,says", [
    ("issuer.key", None, 0o644, "others can read"), ("node.dsn", None, 0o640, "others can read"), ("door.key", None, 0o604, "others can read"),
    ("peer.token", "short\n", 0o600, "32 characters"), ("issuer.key", "xyz\n", 0o600, "hex"), ("pepper", "gone", None, "No such file")])
def test_secret_files_are_examined(copy, file, text, mode, says):
    path = copy.parent / file
    if mode is None:
        path.unlink()
    else:
        if text:
            path.write_text(text)
        path.chmod(mode)
    code, found = doctor(copy)
    finding = worst(found, "secret_files")
    assert code == 2 and finding["health"] == "fail" and says in finding["seen"] and file in finding["seen"], found["secret_files"]


def test_files_that_others_can_change_are_named(copy):
    copy.chmod(0o666)
    assert "go-w" in worst(doctor(copy)[1], "secret_files")["remedy"]


def certificate(folder: pathlib.Path, days: str = "30", names: str = "IP:127.0.0.1"):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", days, "-keyout",
                    str(folder / "door.key"), "-out", str(folder / "door.pem"), "-subj", "/CN=door", "-addext",
                    f"subjectAltName={names}"], check=True, capture_output=True)
    (folder / "door.key").chmod(0o600)


def test_certificates_are_examined(copy):
    folder = copy.parent
    kept = (folder / "door.key").read_bytes()
    certificate(folder)
    code, found = doctor(copy)
    assert code != 0 and worst(found, "certificate_chain")["health"] == "warn"  # nobody vouches for it
    assert worst(found, "certificate")["health"] == "ok" and worst(found, "certificate_name")["health"] == "ok"
    (folder / "door.key").write_bytes(kept)
    assert worst(doctor(copy)[1], "certificate_key")["health"] == "fail"
    certificate(folder, names="DNS:other.example")
    assert worst(doctor(copy)[1], "certificate_name")["health"] == "fail"
    certificate(folder, days="5")
    assert worst(doctor(copy)[1], "certificate")["health"] == "warn"
    (folder / "door.pem").write_text("not a certificate")
    assert worst(doctor(copy)[1], "certificate")["health"] == "fail"


def test_an_ended_certificate_fails(copy):
    from datetime import datetime, timedelta, timezone

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "door")])
    now = datetime.now(timezone.utc)
    made = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
            .not_valid_before(now - timedelta(days=40)).not_valid_after(now - timedelta(days=3)).sign(key, hashes.SHA256()))
    (copy.parent / "door.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    code, found = doctor(copy)
    assert code == 2 and "ended 3 days ago" in worst(found, "certificate")["seen"]


def test_what_cannot_be_reached_is_named(copy):
    (copy.parent / "node.dsn").write_text("host=127.0.0.1 port=1 dbname=x user=y\n")
    (copy.parent / "registry.dsn").write_text("host=127.0.0.1 port=1 dbname=x user=y\n")
    change(copy, r'upstream = ".*"', f'upstream = "127.0.0.1:{free_port()}"')
    change(copy, r'url = "https.*"', f'url = "https://127.0.0.1:{free_port()}"')
    code, found = doctor(copy)
    assert code == 2
    for check in ("database", "registry", "upstream", "node_ready", "peers"):
        assert worst(found, check)["health"] == "fail", (check, found.get(check))
    assert "clock_database" not in found  # not made up


def test_another_regions_database_and_a_strong_login_are_named(regions, copy):
    other = pathlib.Path(regions.region("us-east-1")["dsn_files"]["node"]).read_text()
    (copy.parent / "node.dsn").write_text(other)
    assert "region us-east-1" in worst(doctor(copy)[1], "database_region")["seen"]
    (copy.parent / "node.dsn").write_text(pathlib.Path(regions.region(HOME)["dsn_files"]["superuser"]).read_text())
    finding = worst(doctor(copy)[1], "node_role")
    assert finding["health"] == "fail" and "SUPERUSER" in finding["seen"]
    (copy.parent / "node.dsn").write_text(pathlib.Path(regions.region(HOME)["dsn_files"]["checker"]).read_text())
    assert "no member of domicile_node" in worst(doctor(copy)[1], "node_role")["seen"]


def test_the_servers_settings_are_examined(regions):
    config = regions.region(HOME)["node_config"]
    wanted = {"log_min_error_statement": "error", "log_parameter_max_length_on_error": "-1", "idle_in_transaction_session_timeout": "0",
              "synchronous_commit": "off"}
    with regions.superuser(HOME) as db:
        before = {name: db.execute(f"SHOW {name}").fetchone()[0] for name in wanted}
        for name, value in wanted.items():
            db.execute(f"ALTER DATABASE learning SET {name} = '{value}'")
        try:
            code, found = doctor(config)
            assert code == 2 and "synchronous_commit is off" in worst(found, "durability")["seen"]
            assert "log_min_error_statement is error" in worst(found, "statement_logging")["seen"]
            assert worst(found, "idle_transactions")["health"] == "warn"
            db.execute("ALTER DATABASE learning SET log_min_error_statement = 'fatal'")
            db.execute("ALTER DATABASE learning SET log_parameter_max_length_on_error = 0")
            db.execute("ALTER DATABASE learning SET idle_in_transaction_session_timeout = '60s'")
            db.execute("ALTER DATABASE learning RESET synchronous_commit")
            _, found = doctor(config)
            assert {worst(found, c)["health"] for c in ("durability", "statement_logging", "idle_transactions")} == {"ok"}
        finally:
            for name in before:
                db.execute(f"ALTER DATABASE learning RESET {name}")


def test_the_applications_pool_is_examined_too(regions, tmp_path):
    config = regions.region(HOME)["node_config"]
    port = regions.region(HOME)["ports"]["postgresql"]
    secret = regions.data / "regions/ca-central-1/secrets/learning_pool.pgpass"
    dsn = tmp_path / "pool.dsn"
    dsn.write_text(f"host=127.0.0.1 port={port} dbname=learning user=learning_pool passfile='{secret}'\n")
    dsn.chmod(0o600)
    _, found = doctor(config, "--app-dsn-file", dsn)
    assert worst(found, "application_role")["health"] == "ok" and worst(found, "application_pooling")["seen"] == "direct"
    dsn.write_text(pathlib.Path(regions.region(HOME)["dsn_files"]["owner"]).read_text())
    assert worst(doctor(config, "--app-dsn-file", dsn)[1], "application_role")["health"] == "fail"

    line = secret.read_text().strip().rpartition(":")[2]
    from support.pgbouncer import PgBouncer
    for mode, health in (("transaction", "ok"), ("statement", "fail")):
        with PgBouncer(port, "learning", {"learning_pool": line}, mode) as bouncer:
            dsn.write_text(bouncer.dsn("learning_pool") + "\n")
            _, found = doctor(config, "--app-dsn-file", dsn)
            assert worst(found, "application_pooling")["health"] == health, (mode, found["application_pooling"])


def test_a_damaged_event_log_and_an_open_one_are_named(copy):
    audit = copy.parent / "audit"
    segment = sorted(audit.glob("events-*.jsonl"))[0]
    content = bytearray(segment.read_bytes())
    content[len(content) // 3] ^= 1
    segment.write_bytes(content)
    assert worst(doctor(copy)[1], "event_log")["health"] == "fail"
    audit.chmod(0o755)
    assert "chmod 700" in worst(doctor(copy)[1], "event_log")["remedy"]


def test_a_snapshot_that_is_behind_or_of_another_registry_is_named(regions, copy):
    domicile("org", "create", "21", "--slug", "school-21", "--region", HOME, "--ca-file", regions.data / "ca.pem",
             "--peer-token-file", regions.data / "regions/ca-central-1/node/peer.token",
             "--registry-dsn-file", regions.region(HOME)["dsn_files"]["registry"])
    finding = worst(doctor(copy)[1], "snapshot")
    assert finding["health"] == "warn" and "revision" in finding["seen"]
    (copy.parent / "state" / "registry.snapshot").write_bytes(b"DOMREGS1 nothing")
    assert worst(doctor(copy)[1], "snapshot")["health"] == "warn"


def test_a_full_disk_under_the_event_log_is_named(copy):
    audit = copy.parent / "audit"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m,mode=0700", "none", str(audit)], capture_output=True).returncode != 0:
        pytest.skip("a small disk needs the right to mount one")
    try:
        finding = worst(doctor(copy)[1], "event_log_space")
        assert finding["health"] == "fail" and "20 MiB free" in finding["seen"]
    finally:
        subprocess.run(["umount", str(audit)], check=True)


def test_clocks_that_differ_are_named(regions, tmp_path):
    """The doctor's own clock is set ahead, in its process alone."""
    (tmp_path / "ahead.c").write_text("""#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
int clock_gettime(clockid_t id, struct timespec* out) {
  int done = ((int (*)(clockid_t, struct timespec*))dlsym(RTLD_NEXT, "clock_gettime"))(id, out);
  if (id == CLOCK_REALTIME) out->tv_sec += 20;
  return done;
}
""")
    subprocess.run(["clang-19", "-shared", "-fPIC", "-o", str(tmp_path / "ahead.so"), str(tmp_path / "ahead.c")], check=True)
    done = domicile("--output", "json", "doctor", "--config", regions.region(HOME)["node_config"], check=False,
                    env={"LD_PRELOAD": str(tmp_path / "ahead.so")})
    found = {f["check"]: f for f in json.loads(done.stdout)["findings"]}
    assert done.returncode == 2 and found["clock_database"]["health"] == "fail" and "-20.0 s" in found["clock_database"]["seen"]
    assert found["clock_peers"]["health"] == "warn" and "NTP" in found["clock_peers"]["remedy"]


def test_a_server_of_unsafe_settings_and_without_a_guard_is_named(copy, cluster):
    (copy.parent / "node.dsn").write_text(cluster.dsn() + "\n")  # fsync is off there
    with cluster.connect() as db:
        db.execute("ALTER SYSTEM SET max_prepared_transactions = 5")
    cluster.stop()
    cluster.start()
    _, found = doctor(copy)
    assert "fsync is off" in worst(found, "durability")["seen"] and worst(found, "prepared_transactions")["health"] == "warn"
    assert "region init" in worst(found, "database_region")["remedy"] and worst(found, "node_role")["health"] == "fail"


def test_a_node_behind_a_pooler_is_named(regions, copy):
    node = pathlib.Path(regions.region(HOME)["dsn_files"]["node"]).read_text()
    passfile = re.search(r"passfile='?([^' \n]+)", node)
    user = re.search(r"user='?(\w+)", node).group(1)
    password = pathlib.Path(passfile.group(1)).read_text().strip().rpartition(":")[2]
    from support.pgbouncer import PgBouncer
    with PgBouncer(regions.region(HOME)["ports"]["postgresql"], "learning", {user: password}, "session") as bouncer:
        (copy.parent / "node.dsn").write_text(bouncer.dsn(user) + "\n")
        assert worst(doctor(copy)[1], "pooler")["health"] == "warn"


def test_disarmed_event_triggers_are_named(regions):
    config = regions.region(HOME)["node_config"]
    with regions.superuser(HOME) as db:
        names = [row[0] for row in db.execute("SELECT evtname FROM pg_event_trigger WHERE evtname LIKE 'domicile%'")]
        for name in names:
            db.execute(f"ALTER EVENT TRIGGER {name} DISABLE")
        try:
            assert worst(doctor(config)[1], "event_triggers")["health"] == "fail"
        finally:
            for name in names:
                db.execute(f"ALTER EVENT TRIGGER {name} ENABLE ALWAYS")
    assert names and worst(doctor(config)[1], "event_triggers")["health"] == "ok"


def test_text_is_for_people(regions):
    done = domicile("doctor", "--config", regions.region(HOME)["node_config"], check=False)
    assert re.search(r"^\d+ to fix, \d+ to look at, \d+ in order$", done.stdout, re.M)
    assert "password" not in done.stdout.lower()


# ---- explain: a request that was, and a dry question ---------------------------------------------

def token_of(regions, tmp_path):
    done = domicile("token", "get", "--issuer", regions.region(HOME)["url"], "--ca-file", regions.data / "ca.pem", "--client", "plain",
                    "--client-secret-file", regions.folder / "plain.secret")
    file = tmp_path / "token"
    file.write_text(done.stdout.strip().splitlines()[-1] + "\n")
    file.chmod(0o600)
    return file


def explain(regions, *arguments):
    done = domicile("--output", "json", "explain", "--config", regions.region(HOME)["node_config"], *arguments, check=False)
    return done.returncode, json.loads(done.stdout or done.stderr)


@pytest.mark.parametrize("method,path,expected", [
    ("GET", "/api/orgs/7/courses", ""), ("GET", "/api/orgs/8/courses", "organization_mismatch"),
    ("POST", "/api/orgs/7/courses", "missing_permission"), ("PUT", "/api/orgs/7/courses", "method_not_allowed"),
    ("GET", "/nowhere", "no_route"), ("GET", "/api/orgs/7/../8/courses", "path_dot_segment")])
def test_the_explanation_is_the_doors_answer(regions, tmp_path, method, path, expected):
    token = token_of(regions, tmp_path)
    status, body = regions.get(regions.region(HOME)["url"] + path, "--path-as-is", "-X", method, "-H",
                               f"Authorization: Bearer {token.read_text().strip()}")
    code, told = explain(regions, "--method", method, "--path", path, "--token-file", token)
    assert told["reason"] == expected and told["permitted"] == (expected == "") and code == (1 if expected else 0)
    if expected:
        assert json.loads(body)["reason"] == expected and status == told["status"]
        assert told["remedy"] and told["meaning"]
        request_id = json.loads(body)["request_id"]
        if not expected.startswith("path_"):  # what no one can read in one way names nobody, and has no event
            deadline = time.monotonic() + 10
            while (asked := explain(regions, "--request-id", request_id))[0] != 0 and time.monotonic() < deadline:
                time.sleep(0.05)
            event = asked[1]["events"][0]
            assert event["reason"] == expected and event["remedy"] == told["remedy"] and event["outcome"] == "denied"
    else:
        assert status == 200


def test_a_token_is_checked_with_the_issuers_keys_and_a_forged_one_is_said_so(regions, tmp_path):
    token = token_of(regions, tmp_path)
    _, told = explain(regions, "--path", "/api/orgs/7/courses", "--token-file", token)
    assert any("signature checked with keys" in step["seen"] for step in told["steps"])
    head, claims, signature = token.read_text().strip().split(".")
    token.write_text(f"{head}.{claims}.{signature[:-4]}AAAA\n")
    code, told = explain(regions, "--path", "/api/orgs/7/courses", "--token-file", token)
    assert code == 1 and told["reason"] == "token_signature"


def test_a_question_without_a_token(regions):
    code, told = explain(regions, "--path", "/api/orgs/7/courses", "--user", "ann", "--org", "7", "--role", "instructor")
    assert code == 0, told
    code, told = explain(regions, "--path", "/api/orgs/9/courses", "--user", "bob", "--org", "9", "--role", "instructor")
    assert (code, told["reason"], told["home_region"]) == (1, "wrong_region", "us-east-1") and told["home_url"]
    assert explain(regions, "--path", "/api/orgs/7/courses", "--user", "ann", "--org", "7", "--epoch", "9")[1]["reason"] == "snapshot_behind"
    assert explain(regions, "--path", "/api/orgs/7/courses")[1]["reason"] == "unauthenticated"


def test_a_request_that_never_was_is_said_so(regions):
    code, told = explain(regions, "--request-id", "no-such-request")
    assert code == 1 and "holds no event" in told["error"]["message"]


def test_the_text_of_an_explanation_marks_the_step(regions):
    done = domicile("explain", "--config", regions.region(HOME)["node_config"], "--path", "/api/orgs/8/courses", "--user", "ann", "--org",
                    "7", check=False)
    assert re.search(r"^NO  it is the caller's own organization", done.stdout, re.M) and "refused: 403 organization_mismatch" in done.stdout


def test_a_closed_region_and_a_stopped_node_are_named(regions):
    """Last: it closes the region and stops a node."""
    config = regions.region(HOME)["node_config"]
    with regions.superuser(HOME) as db:
        db.execute("SELECT domicile.close_region('a drill')")
    code, found = doctor(config)
    assert code == 2 and "a drill" in worst(found, "database_region_open")["seen"]
    assert "reconcile" in worst(found, "database_region_open")["remedy"]
    os.kill(regions.supervisor(), 9)  # else it starts the node again
    os.kill(regions.pid(f"{HOME}-node"), 9)
    deadline = time.monotonic() + 10
    while worst(doctor(config)[1], "node_ready")["health"] == "ok" and time.monotonic() < deadline:
        pass
    assert "is not answered" in worst(doctor(config)[1], "node_ready")["seen"]
