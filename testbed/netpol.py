"""Two programs that implement NetworkPolicies, neither of them decco's: an evaluator and an enforcer.

decco only writes policies. Their effect can be verified only by other software, so the tests use two
implementations: cyclonus, which computes the answer, and SIG Network's kube-network-policies, which stops packets. Both
are Go modules; ``netpol_module/`` has a short program of ours around each. They are built once and cached.
"""

from __future__ import annotations

import hashlib
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
    return gotool.provide(gotool.Tool(f"netpol-{name}", _digest(), MODULE, f"./{name}", minutes=2))


def _digest() -> str:
    """Of all sources and of the checksums of what they use: these programs have no version of their own."""
    found = hashlib.sha256()
    folder = gotool.HERE / MODULE
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        found.update(f"{file.relative_to(folder)} {file.stat().st_size}\n".encode())
        found.update(file.read_bytes())
    return found.hexdigest()[:12]


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
