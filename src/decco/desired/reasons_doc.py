"""Makes the reference page of conditions and reasons from ``reasons.py``.

    python -m decco.desired.reasons_doc > docs/reference/conditions.md

A test compares the page with the constants.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from itertools import pairwise

from decco.desired import reasons

_HEAD = """\
# Conditions and their reasons

<!-- Made by `python -m decco.desired.reasons_doc` from src/decco/desired/reasons.py; change it there. -->

Spaces and Apps carry `status.conditions` (metav1.Condition). `Ready` is True if all others are, and otherwise has the
first cause that needs action. A condition that does not apply is absent.

| condition | on | is about |
|---|---|---|
| `Ready` | Space, App | all of the others |
| `NamespaceReady` | Space | the namespace, its quota and its limits |
| `NetworkReady` | Space | the policy that isolates the namespace |
| `WorkloadReady` | App | the Deployment or Job, with its policy, Services and sidecar configuration |
| `CertificatesReady` | Space, App | the Secrets that it names |
| `RoutesReady` | Space, App | host names, listeners and routes |
| `DNSReady` | Space, App | DNS records |
| `Paused` | Space, App | True while decco leaves the object alone, and all others as they were; else absent |

Reasons are constants for programs; the message beside one states what, where and what to do. Each change of a condition
is an Event as well: `Warning` for a cause that needs action, `Normal` for all others.
"""


def page() -> str:
    """The whole page as Markdown."""
    return "\n".join([_HEAD, *_tables()])


def _tables() -> Iterator[str]:
    documented = dict(_documented())
    elsewhere = _GOOD | reasons.WAITING | reasons.EVENTS
    for title, names in (
        ("True", [name for name in documented if name in _GOOD]),
        ("False, and ends by itself", [name for name in documented if name in reasons.WAITING]),
        ("False, until somebody does something", [name for name in documented if name not in elsewhere]),
        ("Events only", [name for name in documented if name in reasons.EVENTS]),
    ):
        yield f"## {title}\n\n| reason | means |\n|---|---|"
        yield from (f"| `{name}` | {documented[name]} |" for name in names)
        yield ""


_GOOD = frozenset({reasons.READY, reasons.RECONCILED, reasons.JOB_COMPLETE, reasons.PAUSED})


def _documented() -> Iterator[tuple[str, str]]:
    """(reason, its docstring) of each constant, in the order of the file."""
    body = ast.parse(inspect.getsource(reasons)).body
    for statement, after in pairwise(body):
        if (
            isinstance(statement, ast.Assign)
            and isinstance(statement.value, ast.Constant)
            and isinstance(statement.value.value, str)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
        ):
            yield statement.value.value, " ".join(str(after.value.value).split())


if __name__ == "__main__":
    sys.stdout.write(page())
