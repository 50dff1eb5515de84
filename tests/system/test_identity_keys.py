"""Identity providers whose key endpoints are slow, huge, redirecting or wrong, all at one node, and one that is well: its
people sign in as if the others were not there. Keys that rotate, and floods of keys that nobody has."""

import concurrent.futures
import http.client
import json
import time
import urllib.parse

import pytest
from support.identity_world import CANADA, World
from support.key_endpoint import Endpoint, Key, bad_endpoints
from support.local_regions import wait_until

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
PENALTY = 30  # seconds between two fetches because of an unknown key


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    folder = tmp_path_factory.mktemp("endpoints")
    good, bad = Endpoint("is well"), bad_endpoints(folder)
    providers = folder / "providers.toml"
    providers.write_text("".join(f"""
[[issuer]]
issuer = "{each.url}"
jwks_url = "{each.url}/jwks"
audiences = ["portal"]
organizations = ["101"]
organization_claim = "org"
""" for each in [good, *bad]))
    world = World(region_lines={CANADA: f'external_issuers = "{providers}"'})
    try:
        world.cli(CANADA, "client", "create", "--id", "portal", "--token-exchange")
        yield world, good, bad
    finally:
        world.local.drop()
        for each in [good, *bad[:-1]]:
            each.stop()


def exchange(world, token, source="127.0.0.1"):
    """From an address of our choice: each pays for its own failures."""
    parts = urllib.parse.urlsplit(world.url(CANADA))
    form = urllib.parse.urlencode({"grant_type": EXCHANGE, "client_id": "portal", "subject_token": token,
                                   "subject_token_type": "urn:ietf:params:oauth:token-type:jwt"})
    connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=20, context=world.tls, source_address=(source, 0))
    try:
        connection.request("POST", "/oauth2/token", form.encode(), {"Content-Type": "application/x-www-form-urlencoded"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def accepted(world, token, seconds=20) -> dict:
    return wait_until(lambda: (lambda a: a if a[0] == 200 else None)(exchange(world, token)), seconds, "the token is exchanged")[1]


def test_no_endpoint_that_is_wrong_is_believed_and_none_holds_up_the_others(given):
    world, good, bad = given
    accepted(world, good.token())
    wait_until(lambda: all(each.fetched for each in bad[:-2]), 20, "every endpoint that listens was asked")
    longest = 0.0
    for _ in range(2):
        for number, each in enumerate(bad):
            status, body = exchange(world, each.token(), f"127.0.1.{number + 1}")
            assert (status, body["error"]) == (400, "invalid_grant"), each.name
            begun = time.monotonic()
            assert exchange(world, good.token())[0] == 200
            longest = max(longest, time.monotonic() - begun)
    assert longest < 2, longest
    log = world.local.data / "log" / f"{CANADA}-node.log"  # the operator reads which one, and why
    wait_until(lambda: all(each.url in log.read_text() for each in bad), 30, "each of them is in the log")


def test_a_failing_endpoint_is_asked_less_and_less(given):
    _, _, bad = given
    failing = next(each for each in bad if each.name == "fails")
    wait_until(lambda: time.monotonic() - failing.fetched[0] > 12, 20, "some time has passed")
    assert 2 <= len([t for t in failing.fetched if t - failing.fetched[0] < 12]) <= 5  # after 1, 2, 4, 8 seconds


def test_a_flood_of_unknown_keys_costs_one_fetch_and_nobody_else_anything(given):
    world, good, _ = given
    accepted(world, good.token())
    stranger, before = Key("nobodys"), len(good.fetched)
    begun = time.monotonic()

    def flood(address: int):
        """Few enough from each address that no throttle stops them."""
        return [exchange(world, good.token(stranger, f"k-{address}-{n}"), f"127.0.2.{address}") for n in range(40)]

    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        running = [pool.submit(flood, address) for address in range(1, 11)]
        meanwhile = []
        while not all(each.done() for each in running):
            meanwhile.append(exchange(world, good.token())[0])
        answers = [answer for each in running for answer in each.result()]
    took = time.monotonic() - begun
    assert len(answers) == 400 and {(status, body["error"]) for status, body in answers} == {(400, "invalid_grant")}
    assert len(meanwhile) > 10 and set(meanwhile) == {200}
    assert len(good.fetched) - before <= 1 + took / PENALTY


def test_keys_that_change_without_notice_are_found_while_the_flood_goes_on(given):
    world, good, _ = given
    accepted(world, good.token())
    former, good.key = good.key, Key("k2")
    good.published = [good.key]
    begun = time.monotonic()
    number = 0

    def found():
        nonlocal number
        number += 1
        exchange(world, good.token(Key("nobodys")), f"127.0.3.{number % 250 + 1}")
        return exchange(world, good.token(), f"127.0.4.{number % 250 + 1}")[0] == 200
    wait_until(found, PENALTY + 10, "the new key counts")
    assert time.monotonic() - begun < PENALTY + 5
    assert exchange(world, good.token(former))[0] == 400  # withdrawn is withdrawn


def test_one_subject_at_two_providers_is_two_people(given):
    world, good, _ = given
    first = world.believe(accepted(world, good.token())["access_token"])["sub"]
    other = Endpoint("is well too")
    try:
        assert exchange(world, other.token())[0] == 400  # nobody named it
    finally:
        other.stop()
    assert first == world.believe(accepted(world, good.token())["access_token"])["sub"]
    assert first != world.believe(accepted(world, good.token(sub="someone else"))["access_token"])["sub"]
