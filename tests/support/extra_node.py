"""A second node for a region of `domicile up`, with settings of the test's own: same keys, database and registry,
its own port and event log."""

import pathlib
import re
import signal
import subprocess

from support.domicile import binary
from support.local_regions import LocalRegions, wait_until
from support.postgres import free_port


class ExtraNode:
    def __init__(self, regions: LocalRegions, region_id: str, gateway: str = "", http: str = "", upstreams: list[int] | None = None,
                 peers: str = "", more: str = "", audit: str = ""):
        """`more`: whole sections of the node's file, at its end; `audit`: lines of its [audit]."""
        self.port = free_port()
        original = pathlib.Path(regions.region(region_id)["node_config"])
        text = original.read_text()
        text = re.sub(r'listen = ".*"', f'listen = "127.0.0.1:{self.port}"', text, count=1)
        # Its log is another one, which nobody knows: neither served nor witnessed.
        before, after = text.split("[audit]\n")
        after = after.partition("\n[alerts]\n")[0]  # nor is anybody told of its alerts
        text = before + "[audit]\n" + re.sub(r'(listen|policy_file|witness_logs_file) = ".*"\n', "", after)
        text = text.replace('state_directory = "state"', 'state_directory = "state-extra"')
        text = text.replace('directory = "audit"', 'directory = "audit-extra"')
        text = text.replace("[gateway]\n", "[gateway]\n" + gateway)
        text = text.replace("[audit]\n", "[audit]\n" + audit)
        if peers:
            text = text.replace('client_ca = "ca.pem"\n', peers)
        if http:
            text = text.replace("loops = 1\n", http)
        if upstreams:
            named = ", ".join(f'"127.0.0.1:{port}"' for port in upstreams)
            text = re.sub(r'upstream = ".*"', f'upstreams = [{named}]', text)
        for section in re.findall(r"^(\[\w+\])$", more, re.M):  # the test's own, instead of the node's
            text = re.sub(re.escape(section) + r"\n(?:(?!\[).*\n)*", "", text)
        text += more
        self.config = original.with_name("extra.toml")
        self.config.write_text(text)
        self.config.chmod(0o600)
        self.audit = original.with_name("audit-extra")
        self.url = f"https://127.0.0.1:{self.port}"
        self.log = open(original.with_name("extra.log"), "w+")
        self.process = subprocess.Popen([str(binary()), "serve", "--config", str(self.config)], stdout=self.log, stderr=self.log)
        try:
            wait_until(lambda: self.process.poll() is not None or regions.get(self.url + "/readyz")[0] == 200, 60, "the extra node is ready")
        except AssertionError:
            self.stop()  # the next one would find its log in use
            raise
        assert self.process.poll() is None, pathlib.Path(self.log.name).read_text()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)
        self.log.close()
