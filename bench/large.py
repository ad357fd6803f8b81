"""One large reply. The kernel drops the bytes unread (MSG_TRUNC), so the reader costs little.

`python -m bench.large PORT` prints one JSON object.
"""

from __future__ import annotations

import json
import socket
import sys
import time

from bench import messages


def _measure(port: int) -> dict[str, float]:
    """Seconds for one large reply, head included."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
        begin = time.perf_counter()
        sock.sendall(f"GET {messages.LARGE_PATH} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
        head = sock.recv(2**16)
        length, rest = head.index(b"\r\n\r\n") + 4, bytearray(2**20)
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"the large reply began with {head[:15]!r}")
        missing = length + messages.LARGE_BYTES - len(head)
        while missing:
            got = sock.recv_into(rest, min(missing, len(rest)), socket.MSG_TRUNC)
            if not got:
                raise SystemExit(f"{missing} bytes of the large reply are missing")
            missing -= got
        return {"seconds": time.perf_counter() - begin}


if __name__ == "__main__":
    print(json.dumps(_measure(int(sys.argv[1]))))
