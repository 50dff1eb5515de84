"""Tokens of other people's identity providers, exchanged for a region's own (RFC 8693): the certified oidc-provider, and
Amazon Cognito as cognito-local plays it."""

import contextlib
import json
import os
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import pytest
from support.domicile import ROOT
from support.identity_world import CANADA, US, World
from support.local_regions import free_port, wait_until
from support.packages import node_packages

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
SECRET = "a-secret-of-the-test-provider"


def answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=2)
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


class School:
    """oidc-provider: which organization a token is for is its scope, so that the tests can ask for any."""

    def __init__(self, folder):
        self.port = free_port()
        self.issuer = f"http://localhost:{self.port}"
        (folder / "provider.mjs").write_text((ROOT / "tests" / "integrations" / "oidc_provider.mjs").read_text())
        given = {"issuer": self.issuer, "port": self.port, "secret": SECRET}
        self.process = subprocess.Popen(["node", "provider.mjs"], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                        text=True, env={**os.environ, "DOMICILE_TEST": json.dumps(given), "NODE_ENV": "test"})
        assert self.process.stdout.readline().strip() == "ready"

    def token(self, organization: str) -> str:
        form = urllib.parse.urlencode({"grant_type": "client_credentials", "client_id": "portal", "client_secret": SECRET,
                                       "resource": "https://portal.example", "scope": organization})
        with urllib.request.urlopen(f"{self.issuer}/token", form.encode(), timeout=10) as answer:
            return json.load(answer)["access_token"]


class Cognito:
    def __init__(self, folder):
        self.port = free_port()
        self.url = f"http://localhost:{self.port}"
        (folder / ".cognito").mkdir(exist_ok=True)
        (folder / ".cognito" / "config.json").write_text(json.dumps({"TokenConfig": {"IssuerDomain": self.url}}))
        self.process = subprocess.Popen(["node", "node_modules/cognito-local/lib/bin/start.js"], cwd=folder, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, env={**os.environ, "PORT": str(self.port), "HOST": "127.0.0.1"})
        wait_until(lambda: answers(self.url), 30, "cognito-local answers")
        self.pool = self.call("CreateUserPool", PoolName="school", Schema=[
            {"Name": "org", "AttributeDataType": "String", "Mutable": True}, {"Name": "email", "AttributeDataType": "String"}])["UserPool"]["Id"]
        self.client = self.call("CreateUserPoolClient", UserPoolId=self.pool, ClientName="portal")["UserPoolClient"]["ClientId"]
        self.issuer = f"{self.url}/{self.pool}"
        self.call("CreateGroup", UserPoolId=self.pool, GroupName="Teachers")

    def call(self, action: str, **body):
        request = urllib.request.Request(self.url, json.dumps(body).encode(), {
            "X-Amz-Target": "AWSCognitoIdentityProviderService." + action, "Content-Type": "application/x-amz-json-1.1"})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{action}: {error.read().decode()}") from error

    def token(self, name: str, organization: str) -> str:
        name += "@school.example"  # the pool's default wants addresses
        self.call("AdminCreateUser", UserPoolId=self.pool, Username=name, MessageAction="SUPPRESS",
                  UserAttributes=[{"Name": "custom:org", "Value": organization}, {"Name": "email", "Value": name}])
        self.call("AdminSetUserPassword", UserPoolId=self.pool, Username=name, Password="Correct-horse-1", Permanent=True)
        self.call("AdminAddUserToGroup", UserPoolId=self.pool, Username=name, GroupName="Teachers")
        return self.call("InitiateAuth", AuthFlow="USER_PASSWORD_AUTH", ClientId=self.client,
                         AuthParameters={"USERNAME": name, "PASSWORD": "Correct-horse-1"})["AuthenticationResult"]["IdToken"]


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    installed = node_packages("oidc-provider@8.8", "cognito-local@5")
    folder = tmp_path_factory.mktemp("providers")
    (folder / "node_modules").symlink_to(installed / "node_modules")
    with contextlib.ExitStack() as stack:
        school, cognito = School(folder), Cognito(folder)
        for each in (school, cognito):
            stack.callback(each.process.wait)
            stack.callback(each.process.kill)
        providers = folder / "providers.toml"
        providers.write_text(f"""
[[issuer]]
issuer = "{school.issuer}"
jwks_url = "{school.issuer}/jwks"
audiences = ["portal"]
organizations = ["101", "201"]
organization_claim = "/tenant/org"
roles_claim = "/realm_access/roles"
[issuer.roles]
Teachers = "instructor"

[[issuer]]
issuer = "{cognito.issuer}"
jwks_url = "{cognito.issuer}/.well-known/jwks.json"
audiences = ["{cognito.client}"]
organizations = ["102"]
organization_claim = "custom:org"
roles_claim = "cognito:groups"
[issuer.roles]
Teachers = "instructor"
""")
        world = World(region_lines={CANADA: f'external_issuers = "{providers}"'})
        stack.callback(world.local.drop)
        for region in (CANADA, US):
            world.cli(region, "client", "create", "--id", "portal", "--token-exchange")
        yield world, school, cognito


def exchange(world, token, region=CANADA, **more):
    return world.token(region, grant_type=EXCHANGE, client_id="portal", subject_token=token,
                       subject_token_type="urn:ietf:params:oauth:token-type:jwt", **more)


def exchanged(world, token):
    """Once the node has fetched the provider's keys."""
    return wait_until(lambda: (lambda a: a if a[0] == 200 else None)(exchange(world, token)), 20, "the token is exchanged")[1]


def test_a_providers_token_opens_the_door_of_its_organization(given):
    world, school, _ = given
    body = exchanged(world, school.token("101"))
    claims = world.believe(body["access_token"])
    assert claims["org"] == "101" and claims["roles"] == ["instructor"] and claims["sub"].startswith("x_")
    assert claims["exp"] - claims["iat"] <= 600
    status, _, _ = world.send(CANADA, "GET", "/api/orgs/101/courses", headers={"Authorization": "Bearer " + body["access_token"]})
    assert status == 200


def test_a_cognito_id_token_is_read_by_its_custom_claims(given):
    world, _, cognito = given
    body = exchanged(world, cognito.token("ann", "102"))
    claims = world.believe(body["access_token"])
    assert claims["org"] == "102" and claims["roles"] == ["instructor"]
    assert "ann" not in json.dumps(claims)
    assert "school.example" not in json.dumps(world.events(CANADA))


def test_another_regions_organization_is_named_as_such_and_nobody_with_it(given):
    world, school, _ = given
    exchanged(world, school.token("101"))
    status, body, _ = exchange(world, school.token("201"))
    assert status == 421 and body["issuer"] == world.url(US)
    attempt = [e for e in world.events(CANADA) if "cross_region_token" in json.dumps(e)][-1]
    assert "portal" not in json.dumps(attempt) and "x_" not in json.dumps(attempt)


def test_a_provider_speaks_for_nobody_elses_organization_nor_in_another_region(given):
    world, school, cognito = given
    exchanged(world, school.token("101"))
    assert exchange(world, school.token("999"))[1]["error"] == "invalid_grant"
    assert exchange(world, cognito.token("eve", "101"))[1]["error"] == "invalid_grant"
    assert exchange(world, school.token("201"), US)[1]["error"] == "invalid_grant"  # this one trusts no provider


def test_a_domicile_token_and_a_forged_one_are_no_providers(given):
    world, school, _ = given
    token = school.token("101")
    head, payload, _ = token.split(".")
    other = school.token("201").split(".")
    for bad in (world.sign_in()[1]["access_token"], f"{head}.{other[1]}.{token.split('.')[2]}", f"{head}.{payload}.", "x"):
        assert exchange(world, bad)[1]["error"] == "invalid_grant"
