"""What must be on the machine before make starts: the one declaration of it, and the first step of every target.

``python -m testbed.prerequisites <target>...`` takes a second. As root on Debian or Ubuntu it installs the packages
that are missing; anywhere else it prints the one command that does, and the target ends before anything is built. It
runs before there is a virtual environment, so it needs nothing but Python's own library.

``ALLOW_MISSING=1`` goes on without them; the tests that need them are then skipped. The reason of such a skip begins
with ``MISSING``. It is a failure with ``CI=true``, and for root on Debian or Ubuntu (tests/conftest.py).
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed import assets, packages
from testbed.images import engine
from testbed.progress import say
from testbed.versions import kubernetes_version

SKIP = "MISSING "
"""How the reason of a skip begins that a package would cure."""
ALLOW = "ALLOW_MISSING"
CHECKOUT = Path(__file__).resolve().parent.parent
APT_LISTS = Path("/var/lib/apt/lists")
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"


@dataclass(frozen=True, slots=True)
class Need:
    """Something of the system.

    ``package`` is Debian's name of it; what has none is installed by hand. ``proof`` is a program, or a pattern of an
    absolute path, that is there when it is; ``why`` is what uses it. ``root`` says that only root can use it.
    """

    package: str
    proof: str
    why: str
    root: bool = False


# Its proof is a module of the Python that runs this, see ``is_here``.
VENV = Need(f"{PYTHON}-venv", "ensurepip", "the virtual environment")
GO = Need("", "go", "programs built from Go modules; install Go 1.26 or later: https://go.dev/dl/")
AUTHORITIES = Need("ca-certificates", "/usr/share/ca-certificates/mozilla", "authorities of the Web in images")
STUNNEL = Need("stunnel4", "stunnel4", "the sidecar's TLS")
C_COMPILER = (Need("gcc", "gcc", "programs in C"), Need("libc6-dev", "/usr/include/stdio.h", "programs in C"))
SIDECAR = (
    *C_COMPILER,
    STUNNEL,
    AUTHORITIES,
)
NETWORK = (
    Need("iproute2", "ip", "networks of the testbed", root=True),
    Need("util-linux", "nsenter", "networks of the testbed", root=True),
)
# Of no use where Docker builds images, see ``is_here``.
ENGINE = (
    Need("buildah", "buildah", "images of Dockerfiles", root=True),
    Need("debootstrap", "debootstrap", "the base of images", root=True),
)
RELEASE = (
    Need("git", "git", "the commit of a release"),
    *ENGINE,
    Need("buildah", "buildah", "images as OCI archives", root=True),
)
"""The second buildah also where Docker builds the images: see ``is_here``."""
POLICIES = (GO, *NETWORK, Need("iptables", "iptables", "NetworkPolicies that are enforced", root=True))
NODE = (
    *POLICIES,
    *ENGINE,
    AUTHORITIES,
    Need("busybox-static", "busybox", "pods of decco verify", root=True),
    Need("runc", "runc", "containers of the node", root=True),
    *C_COMPILER,
    Need("libseccomp-dev", "/usr/include/seccomp.h", "containers in user namespaces"),
    Need("pkg-config", "pkg-config", "containers in user namespaces"),
    Need("ipset", "ipset", "Services of the node", root=True),
    Need("conntrack", "conntrack", "Services of the node", root=True),
    Need("mount", "mount", "volumes of the node", root=True),
    Need("containernetworking-plugins", "/usr/lib/cni/ptp", "the pods' network", root=True),
)
LUA = Need("lua5.3", "lua5.3", "Argo CD's health checks")
BIND = (Need("bind9", "named", "a DNS server"), Need("bind9-utils", "rndc", "a DNS server"))
KNOT = (Need("knot", "knotd", "a DNS server"),)
POWERDNS = (
    Need("pdns-server", "pdns_server", "a DNS server"),
    Need("pdns-backend-sqlite3", "/usr/lib/*/pdns/libgsqlite3backend.so", "a DNS server"),
)
ETCD = (Need("etcd-server", "etcd", "the DNS server CoreDNS"),)
DNS = (GO, *BIND, *KNOT, *POWERDNS, *ETCD)
BROWSER = (
    Need("chromium", "chromium", "a browser"),
    Need("fonts-dejavu-core", "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf", "texts in a browser"),
)
TUTORIAL = (Need("curl", "curl", "the tutorial"), Need("openssl", "openssl", "the tutorial"))
DEBOOTSTRAP = Need("debootstrap", "debootstrap", "a bare Debian", root=True)
INTEGRATION = (*BIND, *POLICIES)

TARGETS: dict[str, tuple[Need, ...]] = {
    "unit": (STUNNEL, *BIND),
    "thorough": (STUNNEL, *BIND),
    "integration": INTEGRATION,
    "test-leader": (),
    "test-ui": BROWSER,
    "test-policies": POLICIES,
    "test-zones": (GO,),
    "images": ENGINE,
    "test-images": (*SIDECAR, *ENGINE, *NETWORK),
    "packaging": (GO, LUA),
    "test-packaging": (GO, LUA, *ENGINE),
    "release": (GO, *RELEASE),
    "test-release": (GO, *RELEASE),
    "test-dns": DNS,
    "test-dns-full": DNS,
    "test-dns-interleavings": BIND,
    "soak": BIND,
    "soak-sample": BIND,
    "e2e": (*NODE, *TUTORIAL),
    "e2e-routing": NODE,
    "e2e-verify": (*NODE, *BIND),
    "test-issuers": (*NODE, *BIND),
    "e2e-sample": NODE,
    "node-assets": NODE,
    "test-times": (*INTEGRATION, *NODE),
    "test-fresh-machine": (GO, DEBOOTSTRAP),
}
"""Of the targets that need more than Python and the control plane."""
TARGETS["test"] = tuple(
    need
    for part in ("unit", "thorough", "integration", "soak-sample", "test-dns", "packaging", "test-images", "e2e-sample")
    for need in TARGETS[part]
)
NEED_ROOT = frozenset(
    {
        "e2e",
        "e2e-routing",
        "e2e-verify",
        "test-issuers",
        "test-packaging",
        "test-fresh-machine",
        "release",
        "test-release",
    }
)
WITHOUT_CONTROL_PLANE = frozenset(
    {"check", "check-format", "check-lint", "check-types", "check-imports", "check-vocabulary"}
    | {"check-generated", "format", "generate", "clean", "help", "lock", "mutants", "sabotages", "simulate"}
    | {
        "docs",
        "images",
        "prerequisites",
        "test-dns-interleavings",
        "test-fresh-machine",
        "test-images",
        "thorough",
        "unit",
        "venv",
    }
)


def needs(target: str) -> tuple[Need, ...]:
    """What one target of the Makefile needs, with the variables that it is called with."""
    found = TARGETS.get(target, ())
    if target.startswith("e2e") and os.environ.get("E2E_KUBECONFIG"):
        found = (GO,)  # that cluster has the rest
    elif target.startswith("e2e") and os.environ.get("E2E_CLUSTER"):
        found = (GO, AUTHORITIES, *ENGINE)
    elif target == "demo" and os.environ.get("NODE"):
        found = NODE
    if target not in WITHOUT_CONTROL_PLANE and not is_here(GO) and not assets.without_go():
        found = (*found, GO)
    return (VENV, *found)


def is_here(need: Need) -> bool:
    if need is VENV:
        made = (CHECKOUT / ".venv" / ".complete").exists() or shutil.which("uv") is not None
        return made or importlib.util.find_spec("ensurepip") is not None
    if need in ENGINE and engine.has_docker():
        return True
    if need.proof.startswith("/"):
        return any(Path("/").glob(need.proof.lstrip("/")))
    return packages.path_of(need.proof) is not None


def missing(wanted: Iterable[Need]) -> list[Need]:
    """Those that are not here, each once."""
    return [need for need in dict.fromkeys(wanted) if not is_here(need)]


def reason(*wanted: Need) -> str:
    """Why a test that needs these is skipped; nothing if all are here."""
    return f"{SKIP}{_names(left)}: {_cure(left)}" if (left := missing(wanted)) else ""


def strict() -> bool:
    """Whether a skip for a missing package is a failure: it could have been installed, or the skip goes unnoticed."""
    return os.environ.get("CI") == "true" or (packages.can_install() and not os.environ.get(ALLOW))


def ensure(wanted: Iterable[Need]) -> str:
    """Installs what is missing where that is possible; returns what to do about the rest, or nothing."""
    left = missing(wanted)
    said = ""
    if packages.can_install() and (names := _packages(left)):
        try:
            packages.install(names)
        except packages.InstallFailed as error:
            said = f"{error}\n"
        left = missing(left)
    if not left:
        return ""
    lines = [f"  {need.package or need.proof:<28} {need.why}" for need in left]
    return "\n".join([f"{said}missing on this machine:", *lines, _cure(left)])


def _names(left: Sequence[Need]) -> str:
    return ", ".join(need.package or need.proof for need in left)


def _packages(left: Sequence[Need]) -> list[str]:
    return sorted({need.package for need in left if need.package})


def _cure(left: Sequence[Need]) -> str:
    """One command for all that Debian has; elsewhere the names of programs and files."""
    names = _packages(left)
    by_hand = [f"install {need.proof} ({need.why})" for need in left if not need.package]
    if not names:
        return "; ".join(by_hand)
    if not packages.is_debian():
        proofs = sorted({need.proof for need in left if need.package})
        return "; ".join([f"install what has these programs and files: {' '.join(proofs)}", *by_hand])
    update = "" if any(APT_LISTS.glob("*Packages*")) else "sudo apt-get update && "
    return "; ".join([f"{update}sudo apt-get install --no-install-recommends {' '.join(names)}", *by_hand])


def main(targets: Sequence[str]) -> int:
    """Exit status 2 if a target cannot go on here."""
    try:
        kubernetes_version()
    except ValueError as error:
        say(str(error))
        return 2
    root = os.geteuid() == 0
    alone = bool(os.environ.get("E2E_KUBECONFIG") or os.environ.get("E2E_CLUSTER"))
    by_root = [
        each for each in targets if (each in NEED_ROOT and not alone) or (each == "demo" and os.environ.get("NODE"))
    ]
    # What only root can use is no use to a run that does without it.
    wanted = [need for each in targets for need in needs(each) if root or not need.root or each in by_root]
    problems = [said] if (said := ensure(wanted)) else []
    if problems and os.environ.get(ALLOW):
        say(f"{said}\n{ALLOW} is set: what needs these is skipped")
        problems = []
    if by_root and not root:
        problems.append(f"make {by_root[0]} needs root: it makes namespaces, interfaces and mounts")
    for each in problems:
        say(each)
    if problems and said:
        say(f"or go on without them, and skip what needs them: {ALLOW}=1")
    return 2 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
