"""Sign-in over the real doors of two real regions. Tokens are checked by PyJWT and python3-cryptography, not by us."""

import base64
import concurrent.futures
import json
import urllib.parse

import jwt
import pytest
from support.domicile import domicile
from support.identity_world import CANADA, PASSWORD, US, World
from support.local_regions import wait_until


@pytest.fixture(scope="module")
def world():
    made = World()
    try:
        yield made
    finally:
        made.local.drop()


def test_a_token_is_believed_by_an_independent_library(world):
    status, body, headers = world.sign_in()
    assert status == 200, body
    assert headers["cache-control"] == "no-store" and body["token_type"] == "Bearer"
    claims = world.believe(body["access_token"])
    assert (claims["org"], claims["region"], claims["sub"]) == ("101", CANADA, world.ann)
    assert claims["roles"] == ["instructor"] and "courses:read" in claims["scope"].split()
    assert claims["exp"] - claims["iat"] == 900
    assert jwt.get_unverified_header(body["access_token"])["typ"] == "at+jwt"


def test_both_published_algorithms_load_elsewhere_and_nothing_private_is_published(world):
    keys = world.jwks()["keys"]
    assert sorted(k["alg"] for k in keys) == ["ES256", "EdDSA"]
    for key in keys:
        assert jwt.PyJWK(key, key["alg"]).key is not None
        assert set(key) <= {"kty", "crv", "x", "y", "alg", "use", "kid"}
    assert world.jwks() == world.jwks()


def test_the_metadata_is_what_a_client_library_needs(world):
    metadata = world.send(CANADA, "GET", "/.well-known/openid-configuration")[1]
    assert metadata["issuer"] == world.url(CANADA)
    assert metadata["token_endpoint"].startswith(world.url(CANADA))
    assert urllib.parse.urlsplit(metadata["jwks_uri"]).path == "/.well-known/jwks.json"


def test_a_service_signs_in_with_its_secret(world):
    made = json.loads(world.cli(CANADA, "client", "create", "--id", "nightly", "--org", "101", "--permission", "reports:read").stdout)
    basic = base64.b64encode(f"nightly:{made['secret']}".encode()).decode()
    status, body, _ = world.token(grant_type="client_credentials", headers={"Authorization": "Basic " + basic})
    assert status == 200 and body["scope"] == "reports:read" and "refresh_token" not in body
    assert world.believe(body["access_token"])["sub"] == "nightly"
    wrong = base64.b64encode(b"nightly:wrong").decode()
    status, body, headers = world.token(grant_type="client_credentials", headers={"Authorization": "Basic " + wrong})
    assert status == 401 and body["error"] == "invalid_client" and headers["www-authenticate"].startswith("Basic")


def test_the_command_line_gets_tokens_for_scripts(world):
    ca = world.local.data / "ca.pem"
    token = domicile("token", "get", "--issuer", world.url(CANADA), "--ca-file", ca, "--client", "web", "--org", "maple",
                     "--username", "ann", "--password-file", "-", stdin=PASSWORD + "\n").stdout.strip()
    assert world.believe(token)["org"] == "101"
    refused = domicile("token", "get", "--issuer", world.url(US), "--ca-file", ca, "--client", "web", "--org", "maple",
                       "--username", "ann", "--password-file", "-", stdin=PASSWORD + "\n", check=False)
    assert refused.returncode == 1 and world.url(CANADA) in refused.stderr and PASSWORD not in refused.stderr


def test_everything_wrong_is_one_answer(world):
    world.add_user(CANADA, "101", "off", "learner")
    world.cli(CANADA, "user", "disable", "--org", "101", "--login", "off")
    answers = [world.sign_in(password="wrong horse battery"), world.sign_in(username="nobody"), world.sign_in(username="off")]
    assert {(status, json.dumps(body)) for status, body, _ in answers} == {(400, json.dumps(answers[0][1]))}
    assert answers[0][1]["error"] == "invalid_grant"


def test_at_the_wrong_region_the_home_is_named_and_the_person_is_not_recorded(world):
    status, body, _ = world.sign_in(US, username="ann-of-canada")
    assert status == 421 and body == {"error": "wrong_region", "error_description": body["error_description"],
                                      "issuer": world.url(CANADA)}
    events = [e for e in world.events(US) if "wrong_region" in json.dumps(e)]
    assert events
    for event in events:
        text = json.dumps(event)
        assert "ann" not in text.replace("annotation", "") and "127.0.0.1" not in text and PASSWORD not in text


def test_discovery_answers_known_and_unknown_alike(world):
    for region in (CANADA, US):
        assert world.discover(region, organization="liberty")[1] == {"region": US, "issuer": world.url(US)}
    unknown = {name: world.discover(CANADA, organization=name)[1] for name in (f"nobody{i}" for i in range(12))}
    assert {tuple(sorted(a)) for a in unknown.values()} == {("issuer", "region")}
    assert len({a["region"] for a in unknown.values()}) == 2
    for name, answer in unknown.items():  # the same from every region, every time
        assert world.discover(US, organization=name)[1] == answer
    assert world.discover(CANADA, domain="ann@maple.example")[0] == 400


def test_refresh_tokens_rotate_and_reuse_ends_the_family(world):
    first = world.sign_in()[1]["refresh_token"]
    status, body, _ = world.refresh(first)
    assert status == 200 and body["refresh_token"] != first
    world.believe(body["access_token"])
    assert world.refresh(first)[1]["error"] == "invalid_grant"
    assert world.refresh(body["refresh_token"])[1]["error"] == "invalid_grant"
    with world.local.superuser(CANADA) as db:
        stored = db.execute("SELECT encode(hash, 'hex') FROM domicile_directory.refresh_token").fetchall()
        reasons = {r[0] for r in db.execute("SELECT reason FROM domicile_directory.refresh_family").fetchall()}
    assert "reuse" in reasons
    assert all(first not in row[0] and len(row[0]) == 64 for row in stored)


def test_one_refresh_token_in_many_hands_is_honoured_once(world):
    token = world.sign_in()[1]["refresh_token"]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: world.refresh(token), range(8)))
    assert sorted(status for status, _, _ in answers).count(200) == 1
    won = next(body for status, body, _ in answers if status == 200)
    assert world.refresh(won["refresh_token"])[1]["error"] == "invalid_grant"  # and the winner is out too


def test_a_changed_password_and_a_disabled_user_end_sessions(world):
    world.add_user(CANADA, "101", "bea", "learner")
    token = world.sign_in(username="bea")[1]["refresh_token"]
    world.cli(CANADA, "user", "set-password", "--org", "101", "--login", "bea", "--password-file", "-", stdin="another horse battery\n")
    assert world.refresh(token)[1]["error"] == "invalid_grant"
    token = world.sign_in(username="bea", password="another horse battery")[1]["refresh_token"]
    world.cli(CANADA, "user", "disable", "--org", "101", "--login", "bea")
    assert world.refresh(token)[1]["error"] == "invalid_grant"


def test_a_grant_travels_in_the_token_until_it_is_revoked(world):
    grant = json.loads(world.cli(CANADA, "grant", "create", "--org", "101", "--login", "ann", "--target", "102", "--permission",
                                 "courses:read", "--ticket", "OPS-7", "--for", "1h").stdout)
    claims = world.believe(world.sign_in()[1]["access_token"])
    assert [(g["id"], g["org"], g["permissions"]) for g in claims["grants"]] == [(grant["id"], "102", ["courses:read"])]
    world.cli(CANADA, "grant", "revoke", grant["id"])
    assert "grants" not in world.believe(world.sign_in()[1]["access_token"])
    refused = world.cli(CANADA, "grant", "create", "--org", "101", "--login", "ann", "--target", "201", "--permission",
                        "courses:read", "--ticket", "OPS-8", "--for", "1h", check=False)
    assert refused.returncode == 1 and "grant_cross_region" in refused.stderr


def test_administrators_changes_reach_the_event_log(world):
    def recorded():
        return [e for e in world.events(CANADA) if "OPS-7" in json.dumps(e)]

    assert len(wait_until(lambda: len(recorded()) >= 2 and recorded(), 20, "both events of the grant")) == 2
    with world.local.superuser(CANADA) as db:
        assert wait_until(lambda: db.execute("SELECT count(*) FROM domicile_directory.outbox").fetchone()[0] == 0, 10, "an empty outbox")


def test_windows_and_changes_of_mode_reach_the_event_log(world):
    with world.local.superuser(CANADA) as db:
        db.execute("SELECT domicile_private.begin_maintenance('OPS-77', interval '1 hour', ARRAY['ddl'], '{}')")
        db.execute("SELECT * FROM domicile_private.end_maintenance()")

    def recorded():
        return [e for e in world.events(CANADA) if "OPS-77" in json.dumps(e)]

    assert len(wait_until(lambda: len(recorded()) >= 2 and recorded(), 20, "both events of the window")) == 2
    assert {e["metadata"]["event_code"] for e in recorded()} == {"policy_changed"}
    assert {"maintenance.begin", "maintenance.end"} == {word for word in ("maintenance.begin", "maintenance.end") if word in json.dumps(recorded())}


def test_sign_ins_are_on_record_without_names_or_passwords(world):
    status, body, _ = world.sign_in()
    jti = world.believe(body["access_token"])["jti"]
    text = json.dumps(world.events(CANADA))
    assert jti in text and world.ann not in text
    assert world.ann in json.dumps(world.persons(CANADA))
    assert PASSWORD not in text and body["refresh_token"] not in text and body["access_token"] not in text


def test_an_account_is_locked_after_five_failures_existing_or_not(world):
    world.add_user(CANADA, "101", "victim", "learner")
    for name in ("victim", "phantom"):
        answers = [world.sign_in(username=name, password="wrong horse battery") for _ in range(6)]
        assert [a[0] for a in answers] == [400] * 5 + [429], name
        assert 1 <= int(answers[-1][2]["retry-after"]) <= 60
    assert world.sign_in(username="victim")[0] == 429
    assert world.sign_in()[0] == 200  # nobody else is


def test_private_keys_are_sealed_in_the_database(world):
    with world.local.superuser(CANADA) as db:
        rows = db.execute("SELECT kid, algorithm, sealed FROM domicile_directory.signing_key").fetchall()
    assert {r[1] for r in rows} == {"EdDSA", "ES256"}
    for _, _, sealed in rows:
        assert b"PRIVATE" not in bytes(sealed) and bytes(sealed)[:1] != b"\x30"


def test_when_the_database_is_away_tokens_wait_and_come_back(world):
    before = world.jwks()
    token = world.sign_in()[1]["refresh_token"]
    with world.local.superuser(CANADA, "postgres") as db:
        db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'learning' AND pid <> pg_backend_pid()")
    # Connections that were cut are opened anew; a refresh that met the cut is not used up.
    status, body, _ = wait_until(lambda: (a := world.refresh(token))[0] == 200 and a, 15, "sign-in is back")
    assert world.jwks() == before
    world.believe(body["access_token"])


def test_the_same_keys_sign_after_a_restart(world):
    before = {k["kid"] for k in world.jwks()["keys"]}
    old = world.sign_in()[1]["access_token"]
    world.local.down()
    world.local.up()
    world.status = {r["id"]: r for r in world.local.status()["regions"]}
    wait_until(lambda: world.send(CANADA, "GET", "/readyz")[0] == 200, 60, "ready again")
    assert {k["kid"] for k in world.jwks()["keys"]} == before
    world.believe(old)
