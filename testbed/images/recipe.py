"""How containers of an image start, read out of its Dockerfile, so that there is nothing to drift apart."""

from __future__ import annotations

from testbed.dockerfile import parse
from testbed.images import oci


def config_of(dockerfile: str) -> oci.Config:
    """The configuration by the last stage of a Dockerfile, which must be made from scratch.

    Raises:
        ValueError: it is not, or there is an instruction that is not known.
    """
    last = parse(dockerfile)[-1]
    if last.base != "scratch":
        raise ValueError("the Dockerfile's last stage is not FROM scratch, so this is not its image")
    return oci.Config(
        entrypoint=last.entrypoint,
        cmd=last.cmd,
        user=last.user,
        env=last.environment,
        ports=tuple(last.ports),
        labels=last.labels,
    )
