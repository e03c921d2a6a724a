"""Two programs that know what NetworkPolicies mean, neither of them decco's: an evaluator and an enforcer.

decco only writes policies. Whether they say what they should can be told by somebody else alone, so the tests ask two
implementations: cyclonus, which computes the answer, and SIG Network's kube-network-policies, which stops packets. Both
are Go modules; ``netpol_module/`` has a short program of ours around each. They are built once and cached.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from testbed import cache, golang
from testbed.found import AssetsMissing, program
from testbed.progress import step

MODULE = Path(__file__).resolve().parent / "netpol_module"
PROGRAMS = ("evaluator", "enforcer")


def provide(name: str) -> Path:
    """Gives one of ``PROGRAMS``; built anew when anything in the module's folder changes.

    Raises:
        AssetsMissing: it is not cached and cannot be built; the message says what to install.
    """
    target = cache.programs("netpol", _digest()) / name
    if found := program(target):
        return found
    try:
        with cache.locked():
            if not program(target):
                with (
                    step(f"building the NetworkPolicy {name} from Go modules (a minute or two, once)"),
                    cache.appearing(target) as draft,
                ):
                    golang.build(MODULE, f"./{name}", draft)
    except golang.GoFailed as error:
        raise AssetsMissing(f"the NetworkPolicy {name} is not to be had: {error}") from error
    return target


def _digest() -> str:
    """Of all sources and of the checksums of what they use."""
    found = hashlib.sha256()
    for file in sorted(path for path in MODULE.rglob("*") if path.is_file()):
        found.update(f"{file.relative_to(MODULE)} {file.stat().st_size}\n".encode())
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
