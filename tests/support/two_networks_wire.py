"""The wire of two_networks.py: hands every frame that comes in at to-a out at to-b and back, each by so many milliseconds later.

Frames come with the kernel's notes on checksums and segmentation (PACKET_VNET_HDR) and keep them: they are complete only at the
receiver. At most 32 MiB are on the way in a direction; what is more is lost, as on any wire.
"""

import collections
import socket
import sys
import threading
import time

ALL_PROTOCOLS, SOL_PACKET, VNET_HEADER, IGNORE_OUTGOING, RECEIVE_BUFFER_FORCE = 3, 263, 15, 23, 33
ON_THE_WAY_MAX = 32 << 20


def port(name: str) -> socket.socket:
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    made.setsockopt(SOL_PACKET, VNET_HEADER, 1)
    made.setsockopt(SOL_PACKET, IGNORE_OUTGOING, 1)
    made.setsockopt(socket.SOL_SOCKET, RECEIVE_BUFFER_FORCE, 8 << 20)
    made.bind((name, ALL_PROTOCOLS))
    return made


class Direction:
    def __init__(self, source: socket.socket, target: socket.socket, late: float):
        self.source, self.target, self.late = source, target, late
        self.queue: collections.deque[tuple[float, bytes]] = collections.deque()
        self.ready = threading.Semaphore(0)
        self.size = 0

    def start(self):
        for work in (self.take, self.give):
            threading.Thread(target=work, daemon=True).start()

    def take(self):
        while True:
            try:
                frame = self.source.recv(70_000)
            except OSError:  # the link is down
                time.sleep(0.01)
                continue
            if self.size < ON_THE_WAY_MAX:
                self.size += len(frame)
                self.queue.append((time.monotonic() + self.late, frame))
                self.ready.release()

    def give(self):
        while True:
            self.ready.acquire()
            due, frame = self.queue.popleft()
            self.size -= len(frame)
            if (left := due - time.monotonic()) > 0:
                time.sleep(left)
            try:
                self.target.send(frame)
            except OSError:
                pass  # down, or its queue is full: lost


if __name__ == "__main__":
    a, b = port("to-a"), port("to-b")
    for direction in (Direction(a, b, float(sys.argv[1]) / 1000), Direction(b, a, float(sys.argv[1]) / 1000)):
        direction.start()
    print("ready", flush=True)
    threading.Event().wait()
