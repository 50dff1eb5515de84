"""People, clients and grants in the guarded regional database: what the command line may do, what the database refuses."""

import json
import pathlib
import time

import psycopg
import pytest
from support.domicile import domicile, domicile_json
from support.guarded_region import GuardedRegion

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def region():
    made = GuardedRegion("ca-central-1", ["7", "9"])
    try:
        yield made
    finally:
        made.drop()


@pytest.fixture(scope="module")
def node_dsn(region) -> pathlib.Path:
    return region.file("node.dsn", region.dsn("node_login"), 0o600)


@pytest.fixture
def directory(node_dsn):
    def run(*arguments, stdin=None, check=True):
        return domicile("--output", "json", *arguments, "--dsn-file", node_dsn, stdin=stdin, check=check)

    return run


def add_user(directory, login: str, organization: str = "7", *more) -> dict:
    done = directory("user", "create", "--org", organization, "--login", login, "--password-file", "-", *more,
                     stdin=PASSWORD + "\n")
    return json.loads(done.stdout)


def error(done) -> dict:
    return json.loads(done.stderr.strip().splitlines()[-1])["error"]


def count(region, table: str) -> int:
    return region.one(f"SELECT count(*) FROM domicile_directory.{table}")[0]


def test_a_person_is_created_listed_shown_changed_and_disabled(directory):
    made = add_user(directory, "Ann@Acme.example", "7", "--role", "editor", "--role", "auditor")
    assert made["login"] == "ann@acme.example" and made["roles"] == ["auditor", "editor"]
    assert made["id"].startswith("u_")
    listed = json.loads(directory("user", "list", "--org", "7").stdout)
    assert [u["id"] for u in listed] == [made["id"]]
    by_login = json.loads(directory("user", "show", "--org", "7", "--login", "ANN@acme.example").stdout)
    assert by_login == json.loads(directory("user", "show", "--id", made["id"]).stdout)
    directory("user", "set-roles", "--id", made["id"], "--role", "member")
    directory("user", "disable", "--id", made["id"])
    shown = json.loads(directory("user", "show", "--id", made["id"]).stdout)
    assert shown["roles"] == ["member"] and shown["state"] == "disabled"
    directory("user", "enable", "--id", made["id"])


def test_passwords_are_argon2id_and_come_from_no_argument(directory, region):
    add_user(directory, "hashed")
    stored = region.one("SELECT password_hash FROM domicile_directory.user_account WHERE login = 'hashed'")[0]
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    directory("user", "set-password", "--org", "7", "--login", "hashed", "--password-file",
              region.file("new.password", "another long password\n", 0o600))
    assert region.one("SELECT password_hash FROM domicile_directory.user_account WHERE login = 'hashed'")[0] != stored
    world_readable = region.file("open.password", "another long password\n", 0o644)
    refused = directory("user", "set-password", "--org", "7", "--login", "hashed", "--password-file", world_readable, check=False)
    assert refused.returncode == 2 and "chmod 600" in error(refused)["message"]
    assert "--password " not in domicile("user", "create", "--help").stdout


@pytest.mark.parametrize(("arguments", "password", "code"), [
    (("--org", "7", "--login", "short"), "too short", 2),
    (("--org", "7", "--login", "a b"), PASSWORD, 2),
    (("--org", "7", "--login", "x" * 300), PASSWORD, 2),
    (("--org", "seven!", "--login", "x"), PASSWORD, 2),
    (("--org", "7", "--login", "x", "--role", "Not A Role"), PASSWORD, 2),
    (("--org", "8", "--login", "foreigner"), PASSWORD, 1),  # homed in another region
])
def test_bad_input_changes_nothing(directory, region, arguments, password, code):
    before = count(region, "user_account"), count(region, "outbox")
    refused = directory("user", "create", *arguments, "--password-file", "-", stdin=password + "\n", check=False)
    assert refused.returncode == code, refused.stderr
    assert (count(region, "user_account"), count(region, "outbox")) == before


def test_a_taken_name_is_refused_without_quoting_the_row(directory):
    add_user(directory, "twice")
    refused = directory("user", "create", "--org", "7", "--login", "twice", "--password-file", "-", stdin=PASSWORD + "\n",
                        check=False)
    assert refused.returncode == 1
    assert "exists already" in error(refused)["message"]
    assert "argon2" not in refused.stderr and "Failing row" not in refused.stderr and "Key (" not in refused.stderr
    add_user(directory, "twice", "9")  # another organization's names are its own


def test_a_dry_run_meets_the_databases_rules_and_leaves_nothing(directory, region):
    before = count(region, "user_account"), count(region, "outbox")
    directory("user", "create", "--org", "7", "--login", "maybe", "--password-file", "-", "--dry-run", stdin=PASSWORD + "\n")
    refused = directory("user", "create", "--org", "8", "--login", "maybe", "--password-file", "-", "--dry-run",
                        stdin=PASSWORD + "\n", check=False)
    assert refused.returncode == 1 and "not writable in this region" in error(refused)["message"]
    assert (count(region, "user_account"), count(region, "outbox")) == before


def test_a_client_secret_is_shown_once_and_kept_as_a_hash(directory, region):
    made = json.loads(directory("client", "create", "--id", "nightly", "--org", "7", "--permission", "reports:read").stdout)
    assert len(made["secret"]) == 43
    listed = {c["id"]: c for c in json.loads(directory("client", "list").stdout)}
    assert "secret" not in listed["nightly"] and listed["nightly"]["has_secret"]
    file = region.folder / "secret"
    made = json.loads(directory("client", "create", "--id", "weekly", "--org", "7", "--secret-file", file).stdout)
    assert "secret" not in made and file.stat().st_mode & 0o777 == 0o600 and len(file.read_text().strip()) == 43
    refused = directory("client", "create", "--id", "stranger", "--org", "8", "--secret-file", region.folder / "none", check=False)
    assert refused.returncode == 1 and not (region.folder / "none").exists()


def test_a_grant_is_explicit_scoped_expiring_and_has_a_ticket(directory):
    add_user(directory, "guest")
    who = ("--org", "7", "--login", "guest")
    made = json.loads(directory("grant", "create", *who, "--target", "9", "--permission", "data:read", "--ticket", "OPS-1",
                                "--for", "8h").stdout)
    assert made["permissions"] == ["data:read"] and made["ticket"] == "OPS-1"
    assert [g["id"] for g in json.loads(directory("grant", "list", "--org", "9").stdout)] == [made["id"]]
    for missing in (("--target", "9", "--permission", "data:read", "--ticket", "T"),
                    ("--target", "9", "--permission", "data:read", "--for", "8h"),
                    ("--target", "9", "--ticket", "T", "--for", "8h"),
                    ("--target", "9", "--permission", "data:*", "--ticket", "T", "--for", "8h"),
                    ("--target", "9", "--permission", "data:read", "--ticket", "T", "--for", "900d"),
                    ("--target", "9", "--permission", "data:read", "--ticket", "T", "--expires", "2020-01-01T00:00:00Z"),
                    ("--target", "7", "--permission", "data:read", "--ticket", "T", "--for", "8h")):
        assert directory("grant", "create", *who, *missing, check=False).returncode == 2, missing
    directory("grant", "revoke", made["id"])
    assert directory("grant", "revoke", made["id"], check=False).returncode == 1


def test_a_grant_never_reaches_across_regions(directory, region):
    add_user(directory, "traveller")
    refused = directory("grant", "create", "--org", "7", "--login", "traveller", "--target", "8", "--permission", "data:read",
                        "--ticket", "T", "--for", "8h", check=False)
    assert refused.returncode == 1 and error(refused)["reason"] == "grant_cross_region"
    # And when the node is asked to do it anyway, the database refuses.
    user = region.one("SELECT id FROM domicile_directory.user_account WHERE login = 'traveller'")[0]
    with psycopg.connect(region.dsn("node_login")) as db, pytest.raises(psycopg.Error):
        db.execute("INSERT INTO domicile_directory.access_grant (id, user_id, organization, target, permissions, ticket, granted_by,"
                   " expires_at) VALUES (%s, %s, 7, 8, '{data:read}', 'T', 'me', now() + interval '1 h')", ["g_" + "x" * 22, user])


def test_no_row_of_a_foreign_organization_is_stored_even_by_a_superuser(region):
    with region.superuser() as db, pytest.raises(psycopg.Error):
        db.execute("INSERT INTO domicile_directory.user_account (id, organization, login, password_hash)"
                   " VALUES (%s, 8, 'x', '$argon2id$x')", ["u_" + "x" * 22])


@pytest.mark.parametrize("table", ["user_account", "client", "refresh_token", "refresh_family", "signing_key", "access_grant",
                                   "role_permission", "outbox", "failed_sign_in", "revocation"])
def test_only_the_node_reaches_the_directory(region, table):
    with region.superuser() as admin:
        admin.execute("ALTER ROLE org_7 PASSWORD 'tenant'")
    tenant = region.cluster.connect("region", "org_7", "tenant")
    pool = region.cluster.connect("region", "app_pool", "guarded")
    for connection in (tenant, pool):
        with connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(f"SELECT * FROM domicile_directory.{table}")


def test_the_node_itself_cannot_rewrite_what_must_stay(region):
    with psycopg.connect(region.dsn("node_login"), autocommit=True) as db:
        for statement in ("UPDATE domicile_directory.user_account SET organization = 9",
                          "UPDATE domicile_directory.user_account SET login = 'other'",
                          "DELETE FROM domicile_directory.user_account",
                          "UPDATE domicile_directory.access_grant SET expires_at = 'infinity'",
                          "UPDATE domicile_directory.access_grant SET permissions = '{org:admin}'",
                          "UPDATE domicile_directory.signing_key SET sealed = 'x'",
                          "UPDATE domicile_directory.outbox SET by_operator = 'nobody'",
                          "INSERT INTO domicile_directory.outbox (operation, activity, organization, by_operator, by_role)"
                          " VALUES ('x', 'create', '7', 'me', 'somebody_else')"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                db.execute(statement)


def test_every_change_has_its_event_in_the_same_transaction(directory, region):
    before = count(region, "outbox")
    add_user(directory, "noted", "7", "--by", "Carol of Operations", "--role", "member")
    operation, organization, subject, permissions, by, role = region.one(
        "SELECT operation, organization, subject, permissions, by_operator, by_role FROM domicile_directory.outbox ORDER BY id DESC")
    assert count(region, "outbox") == before + 1
    assert (operation, organization, permissions, by, role) == ("user.create", "7", "member", "Carol of Operations", "node_login")
    assert subject.startswith("u_")
    dump = json.dumps([list(map(str, r)) for r in region.superuser().execute("SELECT * FROM domicile_directory.outbox").fetchall()])
    assert "noted" not in dump and "ann@" not in dump  # opaque identifiers, never names


def test_an_organizations_own_role_replaces_the_regions(directory, region):
    directory("user", "define-role", "--org", "7", "--role", "member", "--permission", "data:read", "--permission", "data:comment")
    assert count(region, "role_permission") == 2
    directory("user", "define-role", "--org", "7", "--role", "member")
    assert count(region, "role_permission") == 0


def test_a_database_that_cannot_be_reached_is_said(region):
    nowhere = region.file("nowhere.dsn", "host=127.0.0.1 port=1 dbname=x user=x password=hidden", 0o600)
    refused = domicile("user", "list", "--org", "7", "--dsn-file", nowhere, check=False)
    assert refused.returncode == 3 and "cannot connect" in refused.stderr and "hidden" not in refused.stderr
    assert domicile("user", "list", "--org", "7", check=False, env={"DOMICILE_DSN": ""}).returncode == 2


def test_while_the_region_is_closed_nobody_is_added(directory, region):
    region.execute("SELECT domicile.close_region('test')")
    try:
        refused = directory("user", "create", "--org", "7", "--login", "late", "--password-file", "-", stdin=PASSWORD + "\n",
                            check=False)
        assert refused.returncode == 1 and "closed" in error(refused)["message"]
    finally:
        region.reconcile()
    add_user(directory, "late")


def test_times_of_grants_are_exact(directory):
    add_user(directory, "timed")
    made = json.loads(directory("grant", "create", "--org", "7", "--login", "timed", "--target", "9", "--permission", "data:read",
                                "--ticket", "T", "--expires", "2027-02-28T23:59:59Z").stdout)
    assert made["expires_at"] == "2027-02-28T23:59:59Z"
    assert abs(time.time() - time.mktime(time.strptime(made["created_at"], "%Y-%m-%dT%H:%M:%SZ")) + time.timezone) < 60
    for bad in ("2027-02-29T00:00:00Z", "2027-02-28", "2027-02-28T24:00:00Z", "tomorrow", "2027-02-28T00:00:00+01:00"):
        assert directory("grant", "create", "--org", "7", "--login", "timed", "--target", "9", "--permission", "data:read",
                         "--ticket", "T", "--expires", bad, check=False).returncode == 2, bad


def test_json_and_text_say_the_same(node_dsn):
    text = domicile("user", "list", "--org", "9", "--dsn-file", node_dsn).stdout
    assert [u["id"] for u in domicile_json("user", "list", "--org", "9", "--dsn-file", node_dsn)] == [
        line.split()[0] for line in text.splitlines()]
