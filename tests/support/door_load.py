"""Clients under running load that count: every request carries a number of its own, so that a lost answer, a wrong
one and a request done twice are each seen as what they are."""

import collections
import re
import threading
import time

from support.http_door import read_answer

NUMBER = re.compile(r"[?&]n=(\d+)")


class Load:
    """`connect()` gives a socket, `request(n)` the bytes of one request whose target holds n=<n>. Each client keeps its
    connection until it is told to close it, then opens another; it ends when nobody listens any more."""

    def __init__(self, connect, request, clients: int = 4, pause: float = 0.002):
        self.connect, self.request, self.pause = connect, request, pause
        self.answers: dict[int, tuple[int, bytes]] = {}  # number -> status, body
        self.unanswered: list[tuple[int, str]] = []
        self.refused = 0
        self.next = 0
        self.lock = threading.Lock()
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def _number(self) -> int:
        with self.lock:
            self.next += 1
            return self.next

    def _run(self):
        connection = None
        while not self.ending.is_set():
            if connection is None:
                try:
                    connection = self.connect()
                except OSError:
                    self.refused += 1
                    return
            number = self._number()
            try:
                connection.sendall(self.request(number))
                answer = read_answer(connection)
            except OSError as error:
                answer, reason = None, repr(error)
            else:
                reason = "closed without an answer"
            if answer is None or answer.status == 0:
                self.unanswered.append((number, reason))
                connection.close()
                connection = None
                continue
            self.answers[number] = (answer.status, answer.body)
            if answer.fields.get("connection") == "close":
                connection.close()
                connection = None
            time.sleep(self.pause)
        if connection is not None:
            connection.close()

    def wait_for(self, more: int, seconds: float = 30):
        """Until so many more requests are answered."""
        wanted, deadline = len(self.answers) + more, time.monotonic() + seconds
        while len(self.answers) < wanted:
            assert time.monotonic() < deadline, f"{len(self.answers)} of {wanted} answers"
            time.sleep(0.01)

    def end(self):
        self.ending.set()
        self.join()

    def join(self):
        for thread in self.threads:
            thread.join(30)
            assert not thread.is_alive()

    def statuses(self) -> collections.Counter:
        return collections.Counter(status for status, _ in self.answers.values())


def seen(upstream) -> collections.Counter:
    """Number -> how often the upstream got it."""
    numbers = (NUMBER.search(head.split("\r\n", 1)[0]) for head in upstream.heads)
    return collections.Counter(int(found.group(1)) for found in numbers if found)


def assert_exact(load: Load, upstream, target):
    """Every answered request was answered with its own number, done once; nothing was lost or done twice."""
    assert load.unanswered == []
    counts = seen(upstream)
    for number, (status, body) in load.answers.items():
        if status == 200:
            assert body == b"seen " + target(number).encode() + b" ", number
            assert counts[number] == 1, number
        else:
            assert counts[number] <= 1, number
    assert set(counts) <= set(load.answers)
