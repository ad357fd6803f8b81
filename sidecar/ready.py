"""`sidecar ready`: ask the sidecar of this machine whether it takes calls.

For health checks that run a command: a container image's, and a pod's where a mesh lets no kubelet
in. Imports little, since it is started again for every check.
"""

from __future__ import annotations

import http.client

_WITHIN = 3.0
_SHOWN = 200
"""Characters of an answer."""


def ready(port: int) -> str:
    """Return why `/ready` at this port of the loopback address does not answer 200; "" if it does.

    A container engine keeps what its health checks print.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_WITHIN)
    try:
        connection.request("GET", "/ready")
        reply = connection.getresponse()
        text = reply.read().decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        said = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return f"no sidecar answers at 127.0.0.1:{port}: {said}"
    finally:
        connection.close()
    return "" if reply.status == 200 else f"status {reply.status}: {text[:_SHOWN]}"
