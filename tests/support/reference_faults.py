"""Reference regions between which, and beneath which, everything can be made to fail."""

import contextlib
import os
import pathlib
import signal
import subprocess

from support.link import Link
from support.pg_fault_proxy import PgFaultProxy
from support.postgres import Cluster
from support.reference_world import ReferenceNode, ReferenceWorld, eventually


class FaultyWorld(ReferenceWorld):
    """Both nodes reach their database through a proxy, and the applier the publisher through a link."""

    def __init__(self, **options):
        super().__init__(**options)
        self.step = 10_000
        self.link = Link(self.publisher.port)
        self.proxies = {node: PgFaultProxy(node.region.cluster.port) for node in (self.publisher, self.applier)}
        self.publisher.write(reference_port=self.proxies[self.publisher].port)
        self.applier.write(reference_port=self.proxies[self.applier].port, master_url=f"https://127.0.0.1:{self.link.port}")

    def drop(self):
        super().drop()
        for each in [*getattr(self, "proxies", {}).values(), *([self.link] if hasattr(self, "link") else [])]:
            each.stop()

    def work(self):
        """Three transactions with everything in them: rows that come once, labels that change hands, a key that changes."""
        self.step += 10
        first = self.step
        with self.master.connect() as c:
            with c.transaction():
                c.execute("INSERT INTO app.ledger SELECT %s + i, i FROM generate_series(0, 4) i", (first,))
                c.execute("UPDATE app.seat SET label = 'free' WHERE id = 1")
                c.execute("UPDATE app.seat SET label = %s WHERE id = 2", (f"first {first}",))
                c.execute("UPDATE app.seat SET label = %s WHERE id = 1", (f"second {first}",))
            c.execute("UPDATE app.whole SET id = %s WHERE id = (SELECT min(id) FROM app.whole)", (first,))
            with c.transaction():
                c.execute("INSERT INTO app.ledger VALUES (%s, 5)", (first + 5,))
                c.execute("UPDATE app.course SET price = price + 1 WHERE code = 'toast'")

    def sound(self, seconds: float = 60):
        """Whatever happened: both sides equal, nothing twice, and the stream runs."""
        self.in_step(seconds=seconds)
        self.applied_once()

    def second_applier(self) -> ReferenceNode:
        node = ReferenceNode(self.replica, name=f"node-{len(self.extra) + 2}")
        self.extra.append(node)
        return node.write()


def crash(cluster: Cluster):
    """kill -9 of the whole server, as a power cut without the loss of what the kernel holds; then it starts again."""
    postmaster = int((cluster.data / "postmaster.pid").read_text().split()[0])
    children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(postmaster)], text=True, capture_output=True).stdout.split()
    for pid in [postmaster, *map(int, children)]:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    for pid in [postmaster, *map(int, children)]:
        eventually(lambda p=pid: not pathlib.Path(f"/proc/{p}/exe").exists() or _zombie(p), 20, lambda p=pid: f"{p} is gone")

    def started():  # a backend that was born in that moment holds the shared memory until it sees that the postmaster is gone
        with contextlib.suppress(RuntimeError):
            cluster.start()
            return True
    eventually(started, 60, lambda: cluster.log.read_text()[-2000:])


def _zombie(pid: int) -> bool:
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def sample(count: int, most: int) -> list[int]:
    """`most` numbers from 1 to `count`, evenly, both ends among them; all of them with DOMICILE_TEST_EVERY_POINT=1."""
    if os.environ.get("DOMICILE_TEST_EVERY_POINT") == "1" or count <= most:
        return list(range(1, count + 1))
    return sorted({1 + round(i * (count - 1) / (most - 1)) for i in range(most)})
