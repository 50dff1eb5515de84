"""A browser without scripts: keeps cookies, follows redirects up to a given address, fills in forms."""

import html.parser
import urllib.parse

import requests


class _Form(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.action, self.method, self.fields, self.alert, self._in_alert = None, "get", {}, "", False

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "form":
            self.action, self.method = attributes.get("action", ""), attributes.get("method", "get").lower()
        if tag == "input":
            self.fields[attributes["name"]] = attributes.get("value") or ""
        self._in_alert = attributes.get("role") == "alert"

    def handle_data(self, data):
        if self._in_alert:
            self.alert += data

    def handle_endtag(self, _):
        self._in_alert = False


class Page:
    def __init__(self, browser, answer):
        self.browser, self.answer = browser, answer
        self.form = _Form()
        if "html" in answer.headers.get("content-type", ""):
            self.form.feed(answer.text)
        self.url, self.status, self.alert = answer.url, answer.status_code, self.form.alert

    @property
    def location(self) -> str:
        """Where it was sent and did not go."""
        return self.answer.headers.get("location", "")

    def asks_for(self, *names: str) -> bool:
        return all(name in self.form.fields for name in names)

    def submit(self, **values) -> "Page":
        target = urllib.parse.urljoin(self.url, self.form.action)
        return self.browser.visit(self.form.method, target, {**self.form.fields, **values})


class Browser:
    def __init__(self, ca_file, application: str):
        """`application`: redirects that start with it are not followed; the test is the application."""
        self.session = requests.Session()
        self.session.trust_env = False  # a machine's own authorities would replace ours
        self.session.verify = str(ca_file)
        self.application = application
        self.visited: list[str] = []

    def open(self, url: str) -> Page:
        return self.visit("get", url)

    def visit(self, method: str, url: str, values: dict | None = None) -> Page:
        for _ in range(10):
            self.visited.append(f"{method.upper()} {url.split('?')[0]}")
            sent = {"params": values} if method == "get" else {"data": values}
            if method == "get" and values:  # as browsers do: a GET form replaces the query
                url = url.split("?")[0]
            answer = self.session.request(method, url, allow_redirects=False, timeout=20, **sent)
            target = urllib.parse.urljoin(answer.url, answer.headers.get("location", ""))
            if answer.status_code not in (302, 303) or target.startswith(self.application):
                return Page(self, answer)
            method, url, values = "get", target, None
        raise AssertionError(f"redirects without end: {self.visited}")
