"""The errors between decco and the API server, as one tree.

    DeccoError
    └── KubeError                   anything that went wrong on the way to the API server, or there
        ├── Unreachable             no complete answer: refused, reset, DNS, TLS, time limit
        │   └── Untrusted           the server's certificate is not signed by a trusted CA, or not for its name
        ├── Garbled                 an answer, but not one that the Kubernetes API promises
        ├── Fenced                  not sent: the right to write has run out
        ├── NotListed               not sent: the existing objects of the kind are not known
        └── ApiError                an answer with a ``Status``: the API server refuses
            ├── BadRequest          400, whatever the cluster contains
            ├── Unauthorized        401, also after the credentials were read again
            ├── Forbidden           403: RBAC, an admission plugin, a quota, or a namespace that is being deleted
            ├── NotFound            404: no such object, or no such namespace to create it in
            ├── NotServed           404: no such kind, or not in this version
            ├── MethodNotAllowed    405: the kind does not support this verb
            ├── Conflict            409: the resourceVersion or UID is not the cached one
            ├── AlreadyExists       409: the name is taken
            ├── Gone                410: the resourceVersion or continue token is too old, list again
            ├── Invalid             422: the object was understood and is refused
            ├── TooManyRequests     429: the request was not carried out (API Priority and Fairness)
            └── ServerError         5xx, time limits of the API server included; a write may have happened

One file, because callers choose by class: ``except NotFound`` reads better than a comparison of numbers. The meaning of
each status and reason is that of ``k8s.io/apimachinery/pkg/apis/meta/v1`` (``StatusReason``).
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

from decco.errors import DeccoError
from decco.objects import Obj
from decco.text import printable

T = TypeVar("T")

_IMMUTABLE = (
    "field is immutable",
    "may not change once set",
    "Value is immutable",
    "updates to statefulset spec for fields other than",
)
_TOO_LARGE = ("etcdserver: request is too large", "trying to send message larger than max")


class KubeError(DeccoError):
    """Anything that went wrong between decco and the API server."""


class NotListed(KubeError):
    """The kind could not be listed since the start, so an object that is not in the cache may exist."""


class Unreachable(KubeError):
    """No complete HTTP answer came.

    ``sent``: whether the API server may have carried the request out: False (certainly not: the connection was never
    made), True (its answer had begun), None (unknown).
    """

    advice = "is it up, and the one you mean? --kubeconfig and --context name another"

    def __init__(self, message: str, *, sent: bool | None = None) -> None:
        super().__init__(message)
        self.sent = sent


class Untrusted(Unreachable):
    """The server's certificate is not trusted, so nothing was sent."""

    advice = "correct the certificate-authority of the kubeconfig, or the server's certificate"


class Garbled(KubeError):
    """The answer is not what the API promises: HTML from a proxy, truncated JSON, a list without items."""

    advice = "is this the address of an API server? --kubeconfig and --context name another"


class Fenced(KubeError):
    """A request that would change something was not sent: another process may be leading by now (``fence.py``)."""


class ApiError(KubeError):
    """The API server answered with a failure.

    ``status`` is the HTTP status code, ``reason`` the StatusReason ("" if the answer named none), ``message`` the
    server's own message without control characters, ``details`` the Status' details, ``retry_after`` seconds or None.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        details: dict[str, Any] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.details = details or {}
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"{self.message} ({self.status} {self.reason})" if self.reason else f"{self.message} ({self.status})"

    @property
    def causes(self) -> list[Obj]:
        causes = self.details.get("causes")
        return [cause for cause in causes if isinstance(cause, dict)] if isinstance(causes, list) else []

    def has_cause(self, reason: str) -> bool:
        """Whether the details list a cause of this ``CauseType``."""
        return any(cause.get("reason") == reason for cause in self.causes)


class BadRequest(ApiError):
    @property
    def no_dry_run(self) -> bool:
        """A webhook with side effects does not support dry run (NewDryRunUnsupportedErr of k8s.io/apiserver)."""
        return "does not support dry run" in self.message


class Unauthorized(ApiError):
    advice = "renew your credentials, or name others with --kubeconfig and --context"


class Forbidden(ApiError):
    advice = "ask a platform operator for the permission"

    @property
    def namespace_terminating(self) -> bool:
        """The object cannot be created because its namespace is being deleted."""
        return self.has_cause("NamespaceTerminating")

    @property
    def quota_exceeded(self) -> bool:
        """The object would exceed a ResourceQuota.

        The quota plugin gives no cause, only a message (k8s.io/apiserver/pkg/admission/plugin/resourcequota).
        """
        return "exceeded quota: " in self.message


class NotFound(ApiError): ...


class NotServed(ApiError):
    """Not a statement about an object. The answer is plain text, or, for a kind of Kubernetes' own groups, a Status
    with the words of ``NOT_SERVED``.
    """


class MethodNotAllowed(ApiError): ...


class Conflict(ApiError): ...


class AlreadyExists(ApiError): ...


class Gone(ApiError): ...


class Invalid(ApiError):
    @property
    def immutable(self) -> bool:
        """Whether the only cause is that fields of the live object are immutable.

        The field errors have no reason of their own for that, only these words: ValidateImmutableField of
        k8s.io/apimachinery/pkg/api/validation, the validations of ConfigMap, Secret and Service in k8s.io/kubernetes. A
        policy of the cluster that calls a field immutable gives no field error, and counts as a refusal.
        """
        return bool(self.causes) and all(
            cause.get("reason") in ("FieldValueInvalid", "FieldValueForbidden")
            and any(words in str(cause.get("message")) for words in _IMMUTABLE)
            for cause in self.causes
        )


class TooManyRequests(ApiError): ...


class ServerError(ApiError):
    advice = "try again; if it lasts, look at the API server's log"

    @property
    def too_large(self) -> bool:
        """The object is larger than etcd takes (1.5 MiB): it will never be written as it is.

        The API server gives no reason, only the words of etcd (ErrRequestTooLarge of go.etcd.io/etcd/api/v3rpc) or,
        above 2 MiB, of its own gRPC client.
        """
        return any(each in self.message for each in _TOO_LARGE)


def may_have_happened(error: KubeError) -> bool:
    """Whether a write that ended with this error may have been carried out, or may still be."""
    if isinstance(error, Unreachable):
        return error.sent is not False
    return isinstance(error, Garbled | ServerError)


_BY_STATUS: dict[int, type[ApiError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    405: MethodNotAllowed,
    409: Conflict,
    410: Gone,
    422: Invalid,
    429: TooManyRequests,
}

_MAX_MESSAGE = 2048
"""Characters of a server's message that are kept: an Invalid of a large object repeats the object."""


NOT_SERVED: Final = "the server could not find the requested resource"
"""NewGenericServerResponse of k8s.io/apimachinery for 404, where no object is named."""


def error_of_status(status: Obj, http_status: int, retry_after: float | None = None) -> ApiError:
    """The exception for a decoded ``Status``, which is a response's body or the object of a watch's ERROR event.

    ``http_status`` is used if the Status has no code; ``retry_after`` is the header's value in seconds and wins over
    ``details.retryAfterSeconds``.
    """
    code = _typed(status, "code", int) or http_status
    reason = _typed(status, "reason", str) or ""
    message = printable(_typed(status, "message", str) or f"HTTP status {code}", _MAX_MESSAGE)
    details = _typed(status, "details", dict) or {}
    if retry_after is None:
        retry_after = _typed(details, "retryAfterSeconds", int) or None
    kind_of_error = class_of(code, reason)
    if kind_of_error is NotFound and message == NOT_SERVED and not details:
        kind_of_error = NotServed
    return kind_of_error(code, reason, message, details, retry_after)


def _typed(fields: Obj, name: str, kind: type[T]) -> T | None:
    value = fields.get(name)
    return value if isinstance(value, kind) else None


def class_of(code: int, reason: str) -> type[ApiError]:
    """The exception class for a code and a StatusReason; the reason decides where codes are shared."""
    if reason == "AlreadyExists":
        return AlreadyExists
    if reason == "Expired":  # same meaning as 410, and some servers send it with another code
        return Gone
    return _BY_STATUS.get(code, ServerError if code >= 500 else ApiError)
