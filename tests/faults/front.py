"""Plain HTTP in front of a control plane, as the controller's user: ``kubectl proxy``.

A controller opens some 45 connections when it starts. With TLS to the API server, handshakes cost a plan more than all
else; kubectl has a few HTTP/2 connections for all of them, and passes everything on as it is.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from testbed.controlplane import ControlPlane
from testbed.kubeconfig import write_kubeconfig


@contextmanager
def front(cp: ControlPlane) -> Iterator[str]:
    """Its URL."""
    client = write_kubeconfig(cp.folder / "front.kubeconfig", cp.url, ca_file=cp.ca_file, client=cp.controller_client)
    command = [str(cp.binaries.kubernetes["kubectl"]), f"--kubeconfig={client}", "proxy", "--port=0"]
    # Its log has a line for each request whose client went away: that is what plans do.
    with (
        (cp.folder / "front.log").open("wb") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()  # Starting to serve on 127.0.0.1:41234
            address = line.split()[-1] if line else ""
            if not address:
                raise RuntimeError(f"kubectl proxy ended with status {process.wait()}")
            yield f"http://{address}"
        finally:
            process.terminate()
