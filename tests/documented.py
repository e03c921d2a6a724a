"""Blocks of commands in the documentation, and what becomes of each: a test runs it, or a reason is given here.

The words behind the three backticks say which test: ``sh run`` is typed by the tutorial's test, ``sh leave`` and
``sh remove`` by tests/upgrades, ``sh try``, ``sh look`` and ``sh cure`` by
tests/integration/test_documented_commands.py.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
FENCE = re.compile(
    r"^(?P<indent> *)(?P<ticks>`{3,})(?P<words>[^\n`]*)\n(?P<text>.*?)^(?P=indent)(?P=ticks)$", re.DOTALL | re.MULTILINE
)
PROGRAMS = (
    *("kubectl", "decco", "helm", "make", "openssl", "skopeo", "sha256sum", "curl", "etcdctl", "tsig-keygen"),
    *("pdnsutil", "pip", "git", "export", "gcloud", "aws", "for", "cat"),
)
COMMAND = re.compile(rf"^(?:\$ )?(?:{'|'.join(PROGRAMS)})(?![\w:])", re.MULTILINE)
RUN_BY_OTHERS = {
    "docs/tutorial.md": {"run"},
    "docs/operations/upgrading.md": {""},
    "docs/operations/uninstalling.md": {"leave", "remove"},
}
"""Page -> words of the blocks that the page's own test runs."""
TRIED = frozenset({"try", "look", "cure"})

_OUTPUT = "an example with its output; tests/integration/test_cli.py runs the command"
_LOGS = "needs logs or figures of running pods"
_SERVER = "commands of that DNS server; tests/dns runs such servers"
NOT_RUN = {
    ("README.md", "make demo"): "this is what make demo and make test are; tests/unit/testbed has the targets",
    ("docs/cli.md", "$ decco"): _OUTPUT,
    ("docs/cli.md", "decco completion bash"): "writes into the folders of a shell; tests/unit/cli/test_complete.py",
    ("docs/dns.md", "etcdctl"): _SERVER,
    ("docs/dns.md", "tsig-keygen"): _SERVER,
    ("docs/dns.md", "pdnsutil"): _SERVER,
    (
        "docs/federation.md",
        "decco dns release",
    ): "needs the zone of a cluster that is gone; tests/integration/test_federation.py",
    (
        "docs/gitops.md",
        "kubectl patch configmap argocd-cm",
    ): "needs Argo CD; tests/packaging/test_gitops.py has its script",
    ("docs/performance.md", "make bench"): "measures for minutes or hours, on an idle machine",
    ("docs/how-to/own-domain.md", "# Route 53"): "needs an account of a cloud",
    (
        "docs/how-to/own-domain.md",
        "kubectl apply",
    ): "needs a zone that the Internet delegates; the tutorial has the like",
    (
        "docs/install.md",
        "kubectl apply -k manifests",
    ): "waits for running pods; tests/packaging/test_kustomize.py applies it",
    ("docs/install.md", "kubectl apply -f manifests/rbac"): "tests/packaging/test_chart.py installs the chart",
    ("docs/install.md", "kubectl -n decco logs"): _LOGS,
    ("docs/install.md", "kubectl apply -f - <<EOF"): "makes the Space of README.md again, in another domain",
    (
        "docs/operations/from-ingress-nginx.md",
        "decco import",
    ): "tests/integration/test_import.py imports such a namespace",
    ("docs/operations/from-the-first-decco.md", "decco import"): "tests/unit/importing has files of the first decco",
    ("docs/operations/monitoring.md", "kubectl -n decco get configmaps"): "opens an editor",
    ("docs/operations/restoring.md", "decco dns release"): "needs the zone of the cluster that is gone, as above",
    ("docs/operations/moving.md", "decco move"): "needs two clusters; tests/integration/test_move.py",
    ("docs/operations/releasing.md", "sha256sum"): "tests/release checks the sums of a release",
    ("docs/operations/releasing.md", "skopeo"): "publishes",
    ("docs/operations/upgrading.md", "$ kubectl apply -k"): "one of two ways; tests/packaging applies both",
    ("docs/operations/upgrading.md", "$ helm upgrade"): "one of two ways; tests/packaging applies both",
    ("docs/runbooks/DeccoEventLoopLag.md", "kubectl -n decco top"): _LOGS,
    ("docs/runbooks/DeccoDown.md", "kubectl -n decco get deployment"): _LOGS,
    (
        "docs/secrets.md",
        "openssl ca",
    ): "needs an authority's own files; tests/images/test_revocation.py makes such lists",
    ("docs/tutorial.md", "make venv"): "what the tutorial's test does before it types",
    ("docs/tutorial.md", "export PATH"): "what the tutorial's test does before it types",
    ("docs/ui.md", "$ decco ui"): "serves until Ctrl-C; tests/integration/test_ui.py",
    ("docs/ui.md", "decco ui"): "serves until Ctrl-C; tests/integration/test_ui.py",
    ("docs/verify.md", "decco verify"): "needs running pods; tests/verify",
    ("CONTRIBUTING.md", "make venv"): "these are the targets themselves",
}
"""(Page, how the block begins) -> why no test types the block as it stands."""


class Block(NamedTuple):
    """``words`` are those behind the backticks without the first, the language."""

    page: str
    line: int
    language: str
    words: tuple[str, ...]
    text: str

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"

    def reason(self) -> str:
        """Why it is not run; nothing if no reason is given."""
        found = [why for (page, start), why in NOT_RUN.items() if page == self.page and self.text.startswith(start)]
        return found[0] if found else ""

    def is_run(self) -> bool:
        words = set(self.words) or {""}
        return self.language == "sh" and bool(words & (TRIED | RUN_BY_OTHERS.get(self.page, set())))


def blocks() -> Iterator[Block]:
    """All blocks with commands, of the pages for users and contributors, in the order of their pages."""
    for page in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("manifests/**/*.md")]):
        name = page.relative_to(ROOT).as_posix()
        # The changelog and the decisions are history; the reference of the CLI shows help, not commands.
        if "design" in page.parts or name in {"CHANGELOG.md", "docs/reference/cli.md"}:
            continue
        text = page.read_text()
        for found in FENCE.finditer(text):
            language, *words = found["words"].split() or [""]
            body = textwrap.dedent(found["text"])
            if language == "sh" or (language in {"", "console", "bash", "shell"} and COMMAND.search(body)):
                yield Block(name, text.count("\n", 0, found.start()) + 1, language, tuple(words), body)
