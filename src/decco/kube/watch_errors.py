"""Reports the errors of a watch: as log lines, and to an observer that counts them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

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
from decco.log import get_logger
from decco.objects import Resource

log = get_logger(__name__)

START_SECONDS: Final = 2.0
"""How long the refusals of an API server that has just started are not logged as warnings."""

_OF_A_START: Final = (Forbidden, TooManyRequests, ServerError)


class WatchErrors:
    """Logs errors: each kind once as a warning, its repetitions at debug, and the recovery.

    An API server that has just started refuses requests for a moment, with 403 until it has loaded the roles; such
    answers are reported only if they persist.
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
        self._reported = ""

    def request_ended(self, error: KubeError | None, healthy: bool, tries: int, seconds: float) -> None:
        """A request has ended, and the next follows in so many seconds."""
        # Not a local variable of the watcher, which waits for hours and would keep the error's frames with all they
        # reference.
        trouble = _trouble(self._resource, error, healthy, tries)
        if trouble is not None:
            self._report(trouble, seconds)

    def _report(self, error: KubeError, seconds: float) -> None:
        if self._on_trouble is not None:
            self._on_trouble(error, seconds)
        # Whoever grants "list" must see that "watch" is lacking as well.
        kind = str(error) if isinstance(error, Forbidden) else f"{type(error).__name__} {getattr(error, 'status', '')}"
        if kind != self._kind:
            self._kind, self._since = kind, self._clock()
        passing = isinstance(error, _OF_A_START) and self._clock() - self._since < START_SECONDS
        method = self._log.debug if passing or kind == self._reported else self._log.warning
        method("watch interrupted", error=str(error), retry_in=round(seconds, 2))
        if not passing:
            self._reported = kind

    def recovered(self) -> None:
        if self._reported:
            self._log.info("watch works again")
        self._kind = self._reported = ""


def _trouble(resource: Resource, error: KubeError | None, healthy: bool, tries: int) -> KubeError | None:
    """The error to report at the end of a request, None if it ended normally."""
    if error is None and not healthy:
        return Unreachable(f"the server ends the watch of {resource} as soon as it is open", sent=True)
    if isinstance(error, Gone) and tries == 1:
        return None
    if isinstance(error, NotFound | NotServed):
        message = f"the cluster does not serve {resource}: is its CustomResourceDefinition installed?"
    elif isinstance(error, Unauthorized):
        message = f"the API server no longer accepts decco's credentials ({error.message}): renew them"
    elif isinstance(error, Forbidden):
        message = f"{error.message}: allow it to list and watch them, as the roles in manifests/rbac do"
    else:
        return error
    return type(error)(error.status, error.reason, message, error.details)
