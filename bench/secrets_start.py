"""What do copies of Secrets without a watch cost at the start, with 5,000 Spaces?

Each Space names two Secrets. The controller has the rights of its service account, with manifests/rbac and
manifests/policies in force. It first makes everything (``cold``), then a second process starts, reconciles all Spaces
and writes nothing (``warm``). Figures are requests about Secrets and about the permission for them, seconds until
nothing is left to do, CPU seconds and memory of decco, the API server's memory, and the load of the machine.

    secrets_start spaces=… cold_s=… cold_cpu_s=… cold_requests=… warm_s=… warm_cpu_s=… warm_lists=… warm_gets=…
    warm_others=… rss_mb=… peak_mb=… apiserver_mb=… hourly_requests_per_s=… load=…
    (limit: one request for each Space at the warm start)
"""

from __future__ import annotations

import argparse
import base64
import os
import re
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from decco.objects import ANNOTATION_SHARE_WITH, API_VERSION, LABEL_SHARE, SPACES
from decco.reconcilers.copies import READ_SECONDS
from testbed.certificates import self_signed
from testbed.controller import Controller
from testbed.controlplane import ControlPlane
from testbed.progress import say

ACCOUNT, GROUPS = "system:serviceaccount:decco:decco-controller", ("system:serviceaccounts",)
SHARED = ("bench-http", "bench-tcp")
SETTINGS = {"DECCO_LEADER_ELECTION__ENABLED": "false"}
QUIET_SECONDS = 5.0
LIMIT_SECONDS = 3600.0
POLL_SECONDS = 0.5
_REQUESTS = re.compile(r"^decco_api_requests_total\{([^}]*)\} (\S+)$", re.MULTILINE)
_COUNTED = re.compile(r"secrets|rolebindings|selfsubject")


def seed(cp: ControlPlane, spaces: int) -> None:
    """The shared Secrets and the Spaces."""
    certificate, key = (base64.b64encode(part).decode() for part in self_signed(["bench.example.net"]))
    for name in SHARED:
        meta = {"name": name, "labels": {LABEL_SHARE: "true"}, "annotations": {ANNOTATION_SHARE_WITH: "*"}}
        data = {"tls.crt": certificate, "tls.key": key, "ca.crt": certificate}
        cp.create("/api/v1/namespaces/decco/secrets", {"metadata": meta, "type": "kubernetes.io/tls", "data": data})
    http, tcp = SHARED
    spec = {"domainName": "example.net", "httpCertSecretName": http, "tcpCertAndCaSecretName": tcp}
    for number in range(spaces):
        meta = {"name": f"bench-{number:05d}"}
        cp.create(SPACES.path(), {"apiVersion": API_VERSION, "kind": "Space", "metadata": meta, "spec": spec})


@dataclass(frozen=True)
class Run:
    """``seconds`` until all Spaces are reconciled and nothing is left; ``requests`` by verb and kind."""

    seconds: float
    requests: Counter[str]
    cpu_seconds: float
    rss_mb: float
    peak_mb: float


def run(cp: ControlPlane, log: Path, spaces: int) -> Run:
    account = cp.kubeconfig_for(ACCOUNT, GROUPS)
    begin = time.monotonic()
    with Controller(account, log, SETTINGS, "--log-level", "warning") as controller:
        last, since = -1.0, time.monotonic()
        while True:
            text = _metrics(controller)
            done = sum(float(value) for value in re.findall(r"^decco_reconcile_total\{.*\} (\S+)$", text, re.MULTILINE))
            busy = sum(float(value) for value in re.findall(r"^decco_workqueue_depth\{.*\} (\S+)$", text, re.MULTILINE))
            now = time.monotonic()
            if done != last or busy or done < spaces:
                last, since = done, now
            elif now - since >= QUIET_SECONDS:
                break
            if now - begin > LIMIT_SECONDS:
                raise RuntimeError(f"decco was not quiet within {LIMIT_SECONDS:.0f} s")
            time.sleep(POLL_SECONDS)
        pid = controller.process.pid
        return Run(since - begin, _requests(text), _cpu_seconds(pid), _memory(pid, "VmRSS"), _memory(pid, "VmHWM"))


def _cpu_seconds(pid: int) -> float:
    """Of the process so far, in user and kernel mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory(pid: int, what: str) -> float:
    found = re.search(rf"{what}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def _metrics(controller: Controller) -> str:
    with urllib.request.urlopen(f"http://{controller.address}/metrics", timeout=30) as answer:
        return str(answer.read().decode())


def _requests(text: str) -> Counter[str]:
    """Verb, resource and code -> number, of what concerns Secrets."""
    found: Counter[str] = Counter()
    for labels, value in _REQUESTS.findall(text):
        named = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        if _COUNTED.match(named["resource"]):
            found[f"{named['verb']} {named['resource']} {named['code']}"] += int(float(value))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.secrets_start", description=__doc__.splitlines()[0])
    parser.add_argument("--spaces", type=int, default=int(os.environ.get("SPACES", "5000")))
    spaces = parser.parse_args().spaces
    with ControlPlane(audit=False) as cp, tempfile.TemporaryDirectory() as folder:
        cp.install_gateway_api()
        cp.install_decco()
        seed(cp, spaces)
        log = Path(folder) / "decco.log"
        first = run(cp, log, spaces)
        say(f"cold: {dict(first.requests)}")
        second = run(cp, log, spaces)
        warm = second.requests
        say(f"warm: {dict(warm)}")
        apiserver = _memory(cp.apiserver_pid, "VmRSS")
    lists = sum(count for what, count in warm.items() if what.startswith("LIST secrets "))
    gets = sum(count for what, count in warm.items() if what.startswith("GET secrets "))
    others = warm.total() - lists - gets
    print(
        f"secrets_start spaces={spaces} cold_s={first.seconds:.1f} cold_cpu_s={first.cpu_seconds:.1f} "
        f"cold_requests={first.requests.total()} warm_s={second.seconds:.1f} warm_cpu_s={second.cpu_seconds:.1f} "
        f"warm_lists={lists} warm_gets={gets} warm_others={others} rss_mb={second.rss_mb:.0f} "
        f"peak_mb={second.peak_mb:.0f} apiserver_mb={apiserver:.0f} "
        f"hourly_requests_per_s={spaces / READ_SECONDS:.2f} load={os.getloadavg()[0]:.1f}"
    )
    # The list of the shared Secrets and its watch are two requests more.
    return int(lists + gets + others > spaces + 10)


if __name__ == "__main__":
    sys.exit(main())
