"""People sign in with a browser at the real doors of two regions: pages without scripts, an application that uses Authlib
and one that uses the certified openid-client, and access tokens that are called back."""

import json
import os
import subprocess
import time
import urllib.parse

import pytest
from authlib.jose import JsonWebKey, JsonWebToken
from authlib.oidc.core import CodeIDToken
from support.application import APPLICATION, Application
from support.browser import Browser
from support.domicile import ROOT
from support.identity_world import CANADA, PASSWORD, US, World
from support.local_regions import wait_until
from support.packages import node_packages


@pytest.fixture(scope="module")
def world():
    made = World()
    try:
        for region in (CANADA, US):
            made.cli(region, "client", "create", "--id", "app", "--redirect-uri", APPLICATION, "--signed-out-uri", APPLICATION)
        made.cli(US, "client", "create", "--id", "us-service", "--org", "201", "--permission", "courses:read")
        yield made
    finally:
        made.local.drop()


def courses(world, token, region=CANADA, organization="101"):
    return world.send(region, "GET", f"/api/orgs/{organization}/courses", headers={"Authorization": "Bearer " + token})


def test_a_person_signs_in_and_an_independent_client_believes_it(world):
    app = Application(world)
    page = app.start()
    assert page.status == 200 and page.asks_for("organization") and not page.asks_for("password")
    page = page.submit(organization="maple")
    assert page.asks_for("username", "password")
    tokens = app.tokens(page.submit(username="ann", password=PASSWORD))
    claims = JsonWebToken(["ES256"]).decode(tokens["id_token"], JsonWebKey.import_key_set(world.jwks()), claims_cls=CodeIDToken,
                                            claims_params={"nonce": "n-1", "client_id": "app"},
                                            claims_options={"iss": {"value": world.url(CANADA)}, "aud": {"value": "app"}})
    claims.validate()
    assert claims["sub"] == world.ann and claims["org"] == "101"
    assert world.believe(tokens["access_token"])["client_id"] == "app"
    status, _, _ = courses(world, tokens["access_token"])
    assert status == 200
    again = app.client.refresh_token(world.url(CANADA) + "/oauth2/token")
    assert again["access_token"] != tokens["access_token"]


def test_one_address_serves_everybody_and_the_other_region_sees_no_name(world):
    before = len(world.events(CANADA))
    app = Application(world, CANADA)
    page = app.start(organization="liberty")
    assert page.url.startswith(world.url(US)) and page.asks_for("password")
    answer = page.submit(username="sam", password=PASSWORD)
    tokens = app.tokens(answer, US)
    assert world.believe(tokens["access_token"], US)["org"] == "201"
    assert urllib.parse.parse_qs(urllib.parse.urlsplit(answer.location).query)["iss"] == [world.url(US)]
    assert [v for v in app.browser.visited if v.startswith("POST")] == [f"POST {world.url(US)}/oauth2/authorize"]
    assert "sam" not in json.dumps(world.events(CANADA)[before:])


def test_wrong_passwords_and_unknown_organizations_look_alike(world):
    known = Application(world).sign_in(password="wrong horse battery")
    name = next(n for n in (f"nobody{i}" for i in range(50)) if world.discover(CANADA, organization=n)[1]["region"] == CANADA)
    unknown = Application(world).sign_in(organization=name)
    assert known.status == unknown.status == 400
    assert known.alert == unknown.alert == "User name or password is wrong."


def test_a_second_application_needs_no_second_sign_in_until_signing_out(world):
    app = Application(world)
    app.tokens(app.sign_in())
    other = Application(world)
    other.browser = app.browser
    assert other.tokens(other.start(prompt="none"))["access_token"]
    ended = app.browser.open(world.url(CANADA) + "/oauth2/logout?client_id=app&post_logout_redirect_uri=" + APPLICATION).submit()
    assert ended.location == APPLICATION
    assert "error=login_required" in other.start(prompt="none", organization="maple").location
    with pytest.raises(Exception, match="invalid_grant"):
        app.client.refresh_token(world.url(CANADA) + "/oauth2/token")


def test_a_code_that_is_used_twice_ends_the_tokens_of_the_first_use(world):
    app = Application(world)
    answer = app.sign_in()
    token = app.tokens(answer)["access_token"]
    assert courses(world, token)[0] == 200
    with pytest.raises(Exception, match="invalid_grant"):
        app.tokens(answer)
    wait_until(lambda: courses(world, token)[0] == 401, 5, "the door refuses the first token")
    assert any(e.get("severity") == "High" and "code_reused" in json.dumps(e) for e in world.events(CANADA))


def test_tokens_called_back_are_refused_at_the_door_within_a_second(world):
    def fresh():
        app = Application(world)
        token = app.tokens(app.sign_in())["access_token"]
        assert courses(world, token)[0] == 200
        return app, token

    def refused_after(act, token):
        act()
        began = time.monotonic()
        wait_until(lambda: courses(world, token)[0] == 401, 10, "the door refuses it")
        return time.monotonic() - began

    app, token = fresh()
    other, untouched = fresh()
    jti = world.believe(token)["jti"]
    took = [refused_after(lambda: world.cli(CANADA, "token", "revoke", "--jti", jti), token)]
    status, body, _ = courses(world, token)
    assert (status, body["reason"]) == (401, "token_revoked")
    assert courses(world, untouched)[0] == 200
    took.append(refused_after(lambda: world.cli(CANADA, "token", "revoke", "--user", world.ann), untouched))
    with pytest.raises(Exception, match="invalid_grant"):
        other.client.refresh_token(world.url(CANADA) + "/oauth2/token")
    _, token = fresh()
    took.append(refused_after(lambda: world.cli(CANADA, "token", "revoke", "--org", "101"), token))
    assert max(took) < 2, took  # a second, and the command's own end
    wait_until(lambda: sum("token.revoke" in json.dumps(e) for e in world.events(CANADA)) >= 3, 10, "the acts are in the event log")


def test_only_one_target_is_revoked_at_a_time_and_only_what_is_here(world):
    for arguments in ([], ["--jti", "a", "--org", "101"], ["--user", "u_nobody"], ["--org", "201"]):
        done = world.cli(CANADA, "token", "revoke", *arguments, check=False)
        assert done.returncode != 0 and done.stderr, arguments


def test_the_certified_client_signs_in_refreshes_and_revokes(world, tmp_path):
    installed = node_packages("openid-client@5")
    (tmp_path / "node_modules").symlink_to(installed / "node_modules")
    (tmp_path / "openid.mjs").write_text((ROOT / "tests" / "integrations" / "openid.mjs").read_text())
    given = {"issuer": world.url(CANADA), "client": "app", "redirect": APPLICATION, "organization": "maple"}
    with subprocess.Popen(["node", "openid.mjs"], cwd=tmp_path, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, env={**os.environ, "DOMICILE_TEST": json.dumps(given),
                                                       "NODE_EXTRA_CA_CERTS": str(world.local.data / "ca.pem")}) as node:
        def heard():
            line = node.stdout.readline()
            assert line, node.stderr.read()
            return json.loads(line)
        browser = Browser(world.local.data / "ca.pem", APPLICATION)
        answer = browser.open(heard()).submit(username="ann", password=PASSWORD)
        node.stdin.write(answer.location + "\n")
        node.stdin.flush()
        told = heard()
        assert told["claims"]["sub"] == world.ann and told["claims"]["region"] == CANADA
        assert told["scope"] == "courses:read"
        assert courses(world, told["access_token"])[0] == 200
        assert browser.open(told["out"]).submit().location.startswith(APPLICATION)
        assert courses(world, told["access_token"])[0] == 401  # signed out, at this node at once
        node.stdin.write("go on\n")
        node.stdin.flush()
        assert heard() == "revoked"  # what is revoked already may be revoked again
