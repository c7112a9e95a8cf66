"""Viewers that take what streams give and drop it, in a process of their own.

Usage: python -m benchmarks.web.viewers PORT TOKEN COUNT. Says when all are connected; ends with
its standard input.
"""

import os
import selectors
import socket
import sys
import threading

_READ_BYTES = 1 << 16


def main() -> None:
    port, token, count = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    waiting = selectors.DefaultSelector()
    for _ in range(count):
        viewer = socket.create_connection(("127.0.0.1", port))
        viewer.sendall(
            f"GET /api/live HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            f"Authorization: Bearer {token}\r\n\r\n".encode()
        )
        answer = viewer.recv(_READ_BYTES)
        if b" 200 " not in answer[:16]:
            raise SystemExit(f"a viewer was refused: {answer[:200]!r}")
        waiting.register(viewer, selectors.EVENT_READ)
    sys.stdout.write(f"{count} connected\n")
    sys.stdout.flush()
    threading.Thread(target=_end_with_input, daemon=True).start()
    while waiting.get_map():
        for key, _ in waiting.select():
            if not key.fileobj.recv(_READ_BYTES):  # type: ignore[union-attr]  # they are sockets
                waiting.unregister(key.fileobj)


def _end_with_input() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
