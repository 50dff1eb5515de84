"""Persons in the log: sealed, opened by who may, erased for good, held by law; and every proof stays valid. Two real
regions, their running nodes, and the commands that administrators use."""

import hashlib
import json
import shutil

import pytest

from support.domicile import domicile
from support.identity_world import CANADA, PASSWORD, World
from support.local_regions import wait_until


@pytest.fixture(scope="module")
def world():
    made = World()
    try:
        yield made
    finally:
        made.local.drop()


def audit(world, *arguments, check=True, as_json=True):
    config = world.node(CANADA) / "node.toml"
    options = ["--output", "json"] if as_json else []
    return domicile(*options, "audit", *arguments, "--config", config, check=check)


def receipt(world, *arguments):
    return json.loads(audit(world, *arguments).stdout)


def sign_in_event(events, jti):
    return next(e for e in events if jti in json.dumps(e) and e["metadata"]["event_code"] == "token_issued")


def signed_in(world, **who):
    status, body, _ = world.sign_in(**who)
    assert status == 200, body
    return world.believe(body["access_token"])["jti"]


def files_of(folder):
    return b"".join(p.read_bytes() for p in folder.rglob("*") if p.is_file())


def verified(world):
    def published():
        done = domicile("--output", "json", "audit", "verify", world.node(CANADA) / "audit", check=False)
        return done.returncode == 0 and json.loads(done.stdout)

    return wait_until(published, 30, "the log verifies")


def test_whoever_has_the_folder_alone_learns_no_person(world):
    jti = signed_in(world)
    for where in ("audit", "state/audit-keys"):
        bytes_there = files_of(world.node(CANADA) / where)
        assert world.ann.encode() not in bytes_there and b"127.0.0.1" not in bytes_there, where
    sealed = sign_in_event(world.events(CANADA), jti)
    assert sealed["user"]["uid"].startswith("sha256:") and "ip" not in sealed["src_endpoint"]
    opened = sign_in_event(world.persons(CANADA), jti)
    assert opened["user"]["uid"] == world.ann and opened["src_endpoint"]["ip"] == "127.0.0.1"
    one = sealed["metadata"]["sequence"]
    shown = audit(world, "show", world.node(CANADA) / "audit", one, "--open")
    assert json.loads(shown.stdout)["user"]["uid"] == world.ann


def test_that_persons_were_read_or_entries_exported_is_an_event_with_who_and_how_many(world, tmp_path):
    world.persons(CANADA)
    out = tmp_path / "out.jsonl"
    folder = world.node(CANADA) / "audit"
    domicile("audit", "export", folder, "--kind", "token_issued", "--to-file", out)

    def acts(operation):
        return [e["unmapped"]["details"] for e in world.events(CANADA) if e["unmapped"].get("operation") == operation]

    read = acts("log.open")[-1]
    assert read["operator"].startswith("os:") and read["verb"] == "list"
    exported = wait_until(lambda: acts("log.export"), 10, "the export is on record")[-1]
    assert exported["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    assert int(exported["records"]) == len(out.read_text().splitlines()) and exported["kind"] == "token_issued"


def test_an_erased_person_is_gone_from_the_log_and_from_older_copies_of_it_and_every_proof_stays(world, tmp_path):
    bob = json.loads(world.add_user(CANADA, "101", "bob", "learner").stdout)["id"]
    jti_bob, jti_ann = signed_in(world, username="bob"), signed_in(world)
    with world.local.superuser(CANADA) as db:  # what is recorded after an erasure has a new key
        wait_until(lambda: db.execute("SELECT count(*) FROM domicile_directory.outbox").fetchone()[0] == 0, 20, "an empty outbox")
    before = sign_in_event(world.persons(CANADA), jti_bob)
    assert before["user"]["uid"] == bob
    shutil.copytree(world.node(CANADA) / "audit", tmp_path / "copy", ignore=shutil.ignore_patterns("lock", "spool"))
    checkpoint = verified(world)
    done = receipt(world, "erase", "--organization", "101", "--person", bob, "--ticket", "GDPR-17")
    assert done["keys_destroyed"] == "1" and done["ticket"] == "GDPR-17"
    entry = next(e for e in world.events(CANADA) if e["metadata"]["sequence"] == done["sequence"])
    details = entry["unmapped"]["details"]
    assert entry["unmapped"]["operation"] == "log.erased" and bob not in json.dumps(entry)
    proof = hashlib.sha256(bytes.fromhex(done["erased_salt"]) + bob.encode()).hexdigest()
    assert details["erased"] == done["erased"] == f"sha256:{proof}"  # the receipt shows whom the entry is about
    after = world.persons(CANADA)
    assert sign_in_event(after, jti_bob)["user"]["uid"].startswith("sha256:") and bob not in json.dumps(after)
    assert sign_in_event(after, jti_ann)["user"]["uid"] == world.ann
    config = world.node(CANADA) / "node.toml"
    older = domicile("--output", "json", "audit", "list", tmp_path / "copy", "--open", "--config", config).stdout
    assert bob not in older and world.ann in older
    assert verified(world)["records"] >= checkpoint["records"]
    assert receipt(world, "erase", "--organization", "101", "--person", bob, "--ticket", "GDPR-17")["keys_destroyed"] == "0"


def test_a_legal_hold_stops_erasing_until_it_is_lifted(world):
    eve = json.loads(world.add_user(CANADA, "101", "eve", "learner").stdout)["id"]
    jti = signed_in(world, username="eve")
    hold = receipt(world, "hold", "add", "--organization", "101", "--person", eve, "--ticket", "COURT-1")["hold"]
    listed = audit(world, "hold", "list").stdout
    assert hold in listed and eve not in listed
    for more in ([], ["--person", eve]):
        refused = audit(world, "erase", "--organization", "101", *more, "--ticket", "GDPR-18", check=False)
        assert refused.returncode == 1 and "legal hold" in refused.stderr and "hold remove" in refused.stderr, refused
    denied = [e for e in world.events(CANADA) if e.get("status_code") == "legal_hold"]
    assert len(denied) == 2 and denied[0]["action"] == "Denied"
    assert sign_in_event(world.persons(CANADA), jti)["user"]["uid"] == eve
    receipt(world, "hold", "remove", hold, "--ticket", "COURT-2")
    assert receipt(world, "erase", "--organization", "101", "--person", eve, "--ticket", "GDPR-18")["keys_destroyed"] == "1"


def test_keys_rotate_under_the_running_node_and_old_entries_stay_readable(world):
    jti = signed_in(world)
    for which in (["--master"], ["--organization", "101"], ["--log"]):
        assert receipt(world, "key", "rotate", *which, "--ticket", "OPS-5")["sequence"] > 0
    later = signed_in(world)
    events = world.persons(CANADA)
    assert {sign_in_event(events, j)["user"]["uid"] for j in (jti, later)} == {world.ann}
    assert [e["entity"]["type"] for e in events if e["metadata"]["event_code"] == "key_changed"].count("Key") >= 3
    assert verified(world)["whole"] is True
    assert "say which key" in audit(world, "key", "rotate", "--ticket", "OPS-5", check=False).stderr


def test_what_was_asked_of_a_stopped_node_is_done_at_its_start(world):
    config = world.node(CANADA) / "node.toml"
    dan = json.loads(world.add_user(CANADA, "101", "dan", "learner").stdout)["id"]
    jti = signed_in(world, username="dan")
    world.local.down()
    spool = world.node(CANADA) / "audit" / "spool"
    owner = (world.node(CANADA) / "audit").stat()
    waiting = spool / "000000000000001-interrupted.act"  # as a command leaves it that died then
    waiting.write_text(json.dumps({"act": "erase", "organization": "101", "person": dan, "ticket": "GDPR-19"}))
    waiting.chmod(0o644)
    assert config.exists() and owner.st_mode & 0o777 == 0o700
    world.local.up()
    erased = [e for e in wait_until(lambda: [e for e in world.events(CANADA) if "GDPR-19" in json.dumps(e)], 30, "it is done")]
    assert erased[0]["unmapped"]["details"]["keys_destroyed"] == "1" and not waiting.exists()
    assert sign_in_event(world.persons(CANADA), jti)["user"]["uid"].startswith("sha256:")
    operations = [e["unmapped"].get("operation") for e in world.events(CANADA)]
    assert operations.count("log.start") == 2 and operations.count("log.stop") == 1
    assert PASSWORD.encode() not in files_of(world.node(CANADA) / "audit")


def test_retention_is_asked_for_and_never_under_a_hold(world):
    status = json.loads(audit(world, "retention", "status").stdout)
    assert status["retention_days"] == 0 and status["first_kept"] == 1 and status["expired"] == 0
    refused = audit(world, "retention", "apply", "--ticket", "OPS-6", check=False)
    assert refused.returncode == 2 and "retention_days" in refused.stderr
