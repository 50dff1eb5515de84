"""A TCP relay whose outgoing side has an address of our choice: a connection that comes from elsewhere."""

import contextlib
import socket
import subprocess
import threading


def outside_address() -> str | None:
    """An address of this machine that is no loopback, or None."""
    told = subprocess.run(["ip", "-4", "-o", "addr", "show", "scope", "global"], text=True, capture_output=True).stdout
    found = [line.split()[3].split("/")[0] for line in told.splitlines() if " inet " in line]
    return found[0] if found else None


def _pump(source: socket.socket, target: socket.socket):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def relay(port: int, source: str):
    """Yields a port on 127.0.0.1 that leads to `port` there, from `source`."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", port), source_address=(source, 0))
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=_pump, args=pair, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()
