"""deploy/envoy and deploy/traefik: the real programs are not to be had as packages of Debian, so here the node is asked
exactly as their documentation says they ask, and the files are read for what must stand in them."""

import ssl

import pytest
import yaml
from support.domicile import ROOT
from support.http_door import Door, corpus, read_answer
from support.other_proxies import TOKEN
from test_deploy_proxies import FORGED, GIVEN, ROUTES, certificate


@pytest.fixture(scope="module")
def door(tmp_path_factory):
    folder = tmp_path_factory.mktemp("asked")
    ca = certificate(folder)
    (folder / "routes.toml").write_text(ROUTES)
    running = Door(folder, "--certificate", str(ca), "--certificate-key", str(folder / "node.key"), "--routes",
                   str(folder / "routes.toml"), "--organizations", "1001", "--authorize-proxy", "127.0.0.1", "--authorize-token", TOKEN)
    running.tls = ssl.create_default_context(cafile=str(ca))
    yield running
    assert running.stop() == 0


def envoy(door, method: str, target: bytes, *fields: str, token: str | None = "1"):
    """ext_authz over HTTP: the request's own method, path_prefix before its path and query, Content-Length 0, the fields
    of allowed_headers, headers_to_add, and what Envoy's own client adds."""
    return ask(door, method.encode() + b" /authorize" + target, ["Content-Length: 0", "X-Forwarded-For: 10.9.9.9", "X-Envoy-Internal: true",
                                                                 "X-Envoy-Expected-Rq-Timeout-Ms: 12000", *fields], token)


def traefik(door, method: str, target: bytes, *fields: str, token: str | None = "1"):
    """forwardAuth: GET of its address, the X-Forwarded-* fields that it writes, and the fields of authRequestHeaders."""
    return ask(door, b"GET /authorize", ["User-Agent: Go-http-client/1.1", f"X-Forwarded-Method: {method}", "X-Forwarded-Proto: http",
                                         "X-Forwarded-Host: site.test", "X-Forwarded-Uri: " + target.decode("latin-1"),
                                         "X-Forwarded-For: 192.0.2.7", "Accept-Encoding: gzip", *fields], token)


def ask(door, line: bytes, fields: list[str], token: str | None):
    fields = ["Host: ca.example.com", f"Domicile-Proxy-Token: {TOKEN}", *fields]
    if token:
        fields.append(f"Authorization: Bearer {door.tokens[token]}")
    with door.connect(door.tls) as connection:
        connection.sendall(line + b" HTTP/1.1\r\n" + "\r\n".join([*fields, "", ""]).encode("latin-1"))
        return read_answer(connection, head_only=line.startswith(b"HEAD"))


FORMS = [envoy, traefik]


@pytest.mark.parametrize("form", FORMS)
def test_the_form_that_the_proxy_is_documented_to_use_is_understood(door, form):
    yes = form(door, "POST", b"/orgs/1/files/a?b=%2e%2e")
    assert yes.status == 200 and yes.body == b""
    assert {name for name in yes.fields if name.startswith("domicile")} == GIVEN
    for method, target, token, status, reason in (
            ("GET", b"/orgs/1/files/a", None, 401, "unauthenticated"), ("GET", b"/orgs/2/files/a", "1", 403, "organization_mismatch"),
            ("DELETE", b"/orgs/1/files/a", "1", 403, "missing_permission"), ("PUT", b"/nowhere", "1", 405, "method_not_allowed"),
            ("GET", b"/open/1001/a", None, 421, "wrong_region"), ("GET", b"/orgs/1/../2/a", "1", 400, "path_dot_segment")):
        no = form(door, method, target, token=token)
        assert (no.status, no.json()["reason"]) == (status, reason)
        assert not any(name in no.fields for name in ("domicile-context", "domicile-organization"))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("title,expected,raw", corpus("paths.tsv"), ids=lambda v: v if isinstance(v, str) else "")
def test_a_path_is_decided_about_in_its_one_reading_or_not_at_all(door, form, title, expected, raw):
    answer = form(door, "GET", b"/all" + raw, token=None)
    if expected.startswith("ok:"):
        assert answer.status == (404 if raw.endswith(b"/") else 200)
    else:
        assert answer.status == 400 and answer.json()["reason"] in (expected, "path_control", "bad_field_value", "bad_request_line", "path_nul")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("forged", FORGED)
def test_even_a_forged_field_that_came_through_decides_nothing_more(door, form, forged):
    if not forged.startswith("Domicile-Proxy-Token"):
        assert form(door, "DELETE", b"/orgs/1/files/a", forged).status in (400, 403)
        assert form(door, "GET", b"/orgs/2/files/a", forged).status in (400, 403)
    assert form(door, "GET", b"/orgs/1/files/a", forged, token=None).status in (400, 401, 403)


def test_envoys_file_says_what_it_must():
    text = (ROOT / "deploy/envoy/envoy.yaml").read_text()
    manager = yaml.safe_load(text)["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    removed = {mutation["remove"] for mutation in manager["early_header_mutation_extensions"][0]["typed_config"]["mutations"]}
    for name in (forged.split(": ")[0].lower() for forged in FORGED):
        if name.replace("-", "").isalnum() and name != "x-forwarded-proto":  # Envoy writes that one itself
            assert name in removed, name
    filters = [one["name"].rsplit(".", 1)[1] for one in manager["http_filters"]]
    assert filters == ["lua", "ext_authz", "router"]
    asks = manager["http_filters"][1]["typed_config"]
    assert asks["failure_mode_allow"] is False and "with_request_body" not in asks
    assert {p["exact"] for p in asks["allowed_headers"]["patterns"]} == {"authorization"}
    given = {p["exact"] for p in asks["http_service"]["authorization_response"]["allowed_upstream_headers"]["patterns"]}
    assert given == GIVEN | {"domicile-acting-organization"} and given <= removed
    assert "upgrade_configs" not in text and manager["use_remote_address"] is True


def test_traefiks_file_says_what_it_must():
    http = yaml.safe_load((ROOT / "deploy/traefik/domicile.yaml").read_text())["http"]
    for router in http["routers"].values():
        assert router["middlewares"] == ["domicile-clean", "domicile-authorize", "domicile-after"]
    cleaned = http["middlewares"]["domicile-clean"]["headers"]["customRequestHeaders"]
    for name in (forged.split(": ")[0] for forged in FORGED):
        if name.replace("-", "").isalnum() and name not in ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Real-Ip"):
            assert name in cleaned, name  # the four are written by Traefik itself
    asks = http["middlewares"]["domicile-authorize"]["forwardAuth"]
    assert asks["trustForwardHeader"] is False and asks["forwardBody"] is False
    assert asks["authRequestHeaders"] == ["Authorization", "Domicile-Proxy-Token"]
    assert asks["authResponseHeadersRegex"] == "^Domicile-" and "insecureSkipVerify" not in asks["tls"]
    assert http["middlewares"]["domicile-after"]["headers"]["customRequestHeaders"]["Authorization"] == ""
