"""The program: `sidecar`, or `python -m sidecar`."""

import gc
import sys

from sidecar.signals import hold

_SERVING = ("run", "webhook", "simulate")
"""Commands that go on until a signal ends them."""


def main() -> int:
    """Run the command that the arguments name; return its exit code."""
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if command in _SERVING:  # first of all: the imports below take most of the time to start
        hold(hang_up=command == "run")
    if command == "run":
        gc.disable()  # until it serves: importing leaves next to no garbage, and looking takes 8 %
    from sidecar import cli

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
