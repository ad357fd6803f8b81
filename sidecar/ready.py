"""`sidecar ready`: ask the sidecar of this machine whether it takes calls.

For health checks that run a command: a container image's, and a pod's where a mesh lets no kubelet
in. Imports little, since it is started again for every check.
"""

from __future__ import annotations

import http.client

_WITHIN = 3.0


def ready(port: int) -> bool:
    """Whether `/ready` at this port of the loopback address answers 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_WITHIN)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
