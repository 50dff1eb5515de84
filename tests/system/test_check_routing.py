"""DOM-RTE: each probe's request goes to every region's door. The doors here are small servers that answer as a good
or a bad door would; the real gateway's answers have tests of their own."""

import http.server
import json
import subprocess
import threading

import pytest

from support.domicile import binary


class Door:
    def __init__(self):
        self.answer = (200, {})
        self.seen = []
        door = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def reply(self, status, headers, body=b"{}"):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                door.seen.append((self.path, self.headers["Authorization"]))
                self.reply(*door.answer)

            def do_POST(self):
                form = self.rfile.read(int(self.headers["Content-Length"])).decode()
                door.seen.append((self.path, form))
                good = "client_id=probe" in form and "client_secret=s%26cret" in form
                self.reply(200 if good else 401, {}, json.dumps({"access_token": "issued"}).encode())

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def doors():
    made = [Door(), Door()]
    yield made
    for door in made:
        door.close()


def secret(path, text):
    path.write_text(text)
    path.chmod(0o600)
    return path


def run(tmp_path, doors, probe):
    dsn = secret(tmp_path / "none.dsn", "host=127.0.0.1 port=1 dbname=none user=nobody")
    text = "".join(f'[[region]]\nname = "{name}"\ndsn_file = "{dsn}"\nurl = "{door.url}"\n{tables}'
                   for name, door, tables in (("ca-central-1", doors[0], probe), ("us-east-1", doors[1], "")))
    (tmp_path / "checks.toml").write_text(text)
    done = subprocess.run([str(binary()), "-q", "--output", "json", "check", "--config", str(tmp_path / "checks.toml")], text=True,
                          capture_output=True, timeout=60)
    assert done.stdout, done.stderr
    return {(r["region"], r["check"]): r for r in json.loads(done.stdout)["results"] if r["check"].startswith("DOM-RTE")}


def token_probe(tmp_path):
    token = secret(tmp_path / "org7.token", "held")
    return f'[[region.probe]]\norganization = "7"\npath = "/courses"\ntoken_file = "{token}"\n'


@pytest.mark.parametrize("home,abroad,at_home,elsewhere", [
    ((200, {}), (421, {}), "pass", "pass"),
    ((204, {}), (307, {"Location": "{home}/courses"}), "pass", "pass"),
    ((200, {}), (421, {"Location": "{home}/courses"}), "pass", "pass"),
    ((503, {}), (421, {}), "fail", "pass"),
    ((200, {}), (200, {}), "pass", "fail"),
    ((200, {}), (403, {}), "pass", "fail"),
    ((200, {}), (307, {"Location": "https://elsewhere.example/courses"}), "pass", "fail"),
    ((200, {}), (307, {"Location": "{home}.evil.example/courses"}), "pass", "fail"),
    ((200, {}), (302, {"Location": "{home}/courses"}), "pass", "fail"),
])
def test_home_serves_and_the_others_send_home(tmp_path, doors, home, abroad, at_home, elsewhere):
    fill = lambda answer: (answer[0], {k: v.replace("{home}", doors[0].url) for k, v in answer[1].items()})  # noqa: E731
    doors[0].answer, doors[1].answer = fill(home), fill(abroad)
    results = run(tmp_path, doors, token_probe(tmp_path))
    assert results["ca-central-1", "DOM-RTE-001"]["status"] == at_home
    assert results["us-east-1", "DOM-RTE-002"]["status"] == elsewhere
    assert results["us-east-1", "DOM-RTE-001"]["status"] == "not run"
    assert doors[1].seen == [("/courses", "Bearer held")]


def test_a_client_gets_its_token_at_home(tmp_path, doors):
    doors[1].answer = (421, {})
    key = secret(tmp_path / "probe.secret", "s&cret")
    results = run(tmp_path, doors, f'[[region.probe]]\norganization = "7"\npath = "/courses"\nclient_id = "probe"\nclient_secret_file = "{key}"\n')
    assert results["ca-central-1", "DOM-RTE-001"]["status"] == "pass"
    assert doors[0].seen[0][0] == "/oauth2/token" and doors[0].seen[1] == ("/courses", "Bearer issued")


def test_no_token_and_no_door_are_errors(tmp_path, doors):
    key = secret(tmp_path / "probe.secret", "wrong")
    probe = f'[[region.probe]]\norganization = "7"\npath = "/courses"\nclient_id = "probe"\nclient_secret_file = "{key}"\n'
    results = run(tmp_path, doors, probe)
    assert results["ca-central-1", "DOM-RTE-001"]["status"] == "error"
    assert results["us-east-1", "DOM-RTE-002"]["status"] == "error"
    doors[1].close()
    results = run(tmp_path, doors, token_probe(tmp_path))
    assert results["us-east-1", "DOM-RTE-002"]["status"] == "error"
    doors[1] = Door()  # so that the fixture has something to close
