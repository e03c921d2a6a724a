"""What is reported of the troubles of a watch: as a log line, and to whoever counts them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import structlog

from decco.kube.errors import (
    Forbidden,
    Gone,
    KubeError,
    NotFound,
    NotServed,
    ServerError,
    TooManyRequests,
    Unauthorized,
    Unreachable,
)
from decco.objects import Resource

log = structlog.get_logger(__name__)

START_SECONDS: Final = 2.0
"""How long the refusals of an API server that has just started are not worth a warning."""

_OF_A_START: Final = (Forbidden, TooManyRequests, ServerError)


class Troubles:
    """Tells of troubles: each kind once as a warning, its repetitions for debugging, and the end of it all.

    An API server that has just started refuses requests for a moment, with 403 until it knows the roles; such answers
    are a trouble only if they go on.
    """

    def __init__(
        self,
        resource: Resource,
        namespace: str,
        on_trouble: Callable[[Exception, float], None] | None,
        clock: Callable[[], float],
    ) -> None:
        # One kind may be followed twice, in all namespaces and in one.
        self._resource = resource
        self._log = log.bind(resource=str(resource), **({"namespace": namespace} if namespace else {}))
        self._on_trouble = on_trouble
        self._clock = clock
        self._kind = ""
        self._since = 0.0
        self._told = ""

    def ended(self, error: KubeError | None, healthy: bool, tries: int, seconds: float) -> None:
        """A request has ended, and the next follows in so many seconds."""
        # Not a local of the watcher's: that waits for hours, and with an error its frames would, and all they hold.
        trouble = _trouble(self._resource, error, healthy, tries)
        if trouble is not None:
            self._tell(trouble, seconds)

    def _tell(self, error: KubeError, seconds: float) -> None:
        if self._on_trouble is not None:
            self._on_trouble(error, seconds)
        kind = f"{type(error).__name__} {getattr(error, 'status', '')}"
        if kind != self._kind:
            self._kind, self._since = kind, self._clock()
        passing = isinstance(error, _OF_A_START) and self._clock() - self._since < START_SECONDS
        method = self._log.debug if passing or kind == self._told else self._log.warning
        method("watch interrupted", error=str(error), retry_in=round(seconds, 2))
        if not passing:
            self._told = kind

    def over(self) -> None:
        if self._told:
            self._log.info("watch works again")
        self._kind = self._told = ""


def _trouble(resource: Resource, error: KubeError | None, healthy: bool, tries: int) -> KubeError | None:
    """What to tell of the end of a request, None if it is the ordinary course of things."""
    if error is None:
        return (
            None
            if healthy
            else Unreachable(f"the server ends the watch of {resource} as soon as it is open", sent=True)
        )
    if isinstance(error, Gone):
        return None if tries == 1 else error
    if isinstance(error, NotFound | NotServed):
        message = f"the cluster does not serve {resource}: is its CustomResourceDefinition installed?"
        return type(error)(error.status, error.reason, message, error.details)
    if isinstance(error, Unauthorized):
        message = f"the API server does not accept our credentials any more ({error.message}): renew them"
        return Unauthorized(error.status, error.reason, message, error.details)
    if isinstance(error, Forbidden):
        message = f"{error.message}: allow it to list and watch them, as the roles in manifests/rbac do"
        return Forbidden(error.status, error.reason, message, error.details)
    return error
