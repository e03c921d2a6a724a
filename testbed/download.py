"""Official downloads, where the network lets us: faster than a build, with a timeout."""

from __future__ import annotations

import hashlib
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from queue import Empty, SimpleQueue

KUBERNETES = "https://dl.k8s.io"
"""Every program as one file with its SHA-256 beside it, https://kubernetes.io/releases/download/. The archives of
envtest are not enough: they hold no kube-controller-manager."""
GITHUB = "https://github.com"

REACH_SECONDS = 4.0
SILENCE_SECONDS = 15.0
TOTAL_SECONDS = 600.0
CHUNK_BYTES = 1 << 20


class DownloadFailed(RuntimeError):
    """The file is not there, not reachable, too slow, or not what its checksum says."""


def reachable(base: str, seconds: float = REACH_SECONDS) -> bool:
    """Whether a server answers at all within ``seconds``, name resolution included (which has no time limit itself)."""
    answers: SimpleQueue[bool] = SimpleQueue()

    def ask() -> None:
        try:
            with urllib.request.urlopen(urllib.request.Request(base, method="HEAD"), timeout=seconds):
                answers.put(True)
        except urllib.error.HTTPError:
            answers.put(True)
        except OSError:
            answers.put(False)

    threading.Thread(target=ask, name="reachable", daemon=True).start()
    try:
        return answers.get(timeout=seconds)
    except Empty:
        return False


def fetch(url: str, target: Path, sha256: str | None = None) -> None:
    """Downloads a file.

    Args:
        url: where from.
        target: the file to write.
        sha256: the checksum in hex that it must have; None to leave that to the connection's TLS.

    Raises:
        DownloadFailed: see the class.
    """
    deadline = time.monotonic() + TOTAL_SECONDS
    digest = hashlib.sha256()
    try:
        with urllib.request.urlopen(url, timeout=SILENCE_SECONDS) as answer, target.open("wb") as file:
            while chunk := answer.read(CHUNK_BYTES):
                digest.update(chunk)
                file.write(chunk)
                if time.monotonic() > deadline:
                    raise DownloadFailed(f"{url}: not complete after {TOTAL_SECONDS:.0f} s")
    except OSError as error:
        raise DownloadFailed(f"{url}: {error}") from error
    if sha256 is not None and digest.hexdigest() != sha256:
        raise DownloadFailed(f"{url}: its SHA-256 is {digest.hexdigest()}, expected {sha256}")


def gateway_api(version: str) -> str:
    """Where the Gateway API's CRDs of the standard channel are, in one file, as ``v1.6.3``."""
    return f"{GITHUB}/kubernetes-sigs/gateway-api/releases/download/{version}/standard-install.yaml"


def fetch_kubernetes(
    version: str, platform: tuple[str, str], program: str, target: Path, base: str | None = None
) -> None:
    """Downloads one official program of Kubernetes, as ``("1.37.2", ("linux", "amd64"), "kubectl", ...)``.

    Raises:
        DownloadFailed: see the class.
    """
    url = urllib.parse.urljoin(base or KUBERNETES, f"/v{version}/bin/{'/'.join(platform)}/{program}")
    checksum = target.with_name(f"{target.name}.sha256")
    fetch(f"{url}.sha256", checksum)
    fetch(url, target, checksum.read_text().split()[0])
    target.chmod(0o755)
