"""Two programs that implement NetworkPolicies, neither of them decco's: an evaluator and an enforcer.

decco only writes policies. Their effect can be verified only by other software, so the tests use two
implementations: cyclonus, which computes the answer, and SIG Network's kube-network-policies, which stops packets. Both
are Go modules; ``netpol_module/`` has a short program of ours around each. They are built once and cached.
"""

from __future__ import annotations

import sys
from pathlib import Path

from testbed import gotool
from testbed.found import AssetsMissing

MODULE = "netpol_module"
PROGRAMS = ("evaluator", "enforcer")


def provide(name: str) -> Path:
    """Gives one of ``PROGRAMS``; built again when anything in the module's folder changes.

    Raises:
        AssetsMissing: it is not cached and cannot be built; the message says what to install.
    """
    return gotool.provide(gotool.Tool(f"netpol-{name}", gotool.digest(MODULE), MODULE, f"./{name}", minutes=2))


def main() -> int:
    """``python -m testbed.netpol``: builds what is missing and prints the paths."""
    try:
        for name in PROGRAMS:
            print(provide(name))
    except AssetsMissing as error:
        print(f"testbed: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
