"""Plain HTTP in front of a control plane, as the controller's user: ``kubectl proxy``.

A controller opens some 45 connections when it starts, with TLS to the API server a handshake each; kubectl has a few
HTTP/2 connections for all of them, and passes everything on as it is.
"""

from __future__ import annotations

import re
import time

from testbed.controlplane import ControlPlane
from testbed.kubeconfig import write_kubeconfig

START_SECONDS = 60.0
POLL_SECONDS = 0.02
_SERVES = re.compile(r"Starting to serve on (\S+)\n")


def start(cp: ControlPlane) -> str:
    """Its URL; it ends with the control plane."""
    client = write_kubeconfig(cp.folder / "front.kubeconfig", cp.url, ca_file=cp.ca_file, client=cp.controller_client)
    kubectl = cp.binaries.kubernetes["kubectl"]
    # Its log also has a line for each request whose client went away: that is what plans do.
    process = cp.processes.start("front", [kubectl, f"--kubeconfig={client}", "proxy", "--port=0"])
    deadline = time.monotonic() + START_SECONDS
    while process.running and time.monotonic() < deadline:
        if found := _SERVES.search(process.log.read_text()):
            return f"http://{found[1]}"
        time.sleep(POLL_SECONDS)
    raise RuntimeError(f"kubectl proxy does not serve: {process.log.read_text()[-500:]}")
