"""At which names, and by which paths, the HTTP endpoints of an App are served.

At each of its names an endpoint is served with all of its paths, so that it has one route. A path that others have at
all of these names is left out; a name at which others have one of the other paths, too.
"""

from __future__ import annotations

from collections.abc import Callable

from decco.api.types import Endpoint, HttpRoutePath
from decco.desired import reasons
from decco.desired.http_names import entry_of, further_names
from decco.desired.model import AppInputs, SpaceFacts
from decco.frozen import frozen
from decco.hostnames import canonical
from decco.text import shown


@frozen
class ResolvedPath:
    """One path of an HTTP endpoint."""

    path: str
    """As written."""
    rewrite: str | None = None
    """What replaces ``prefix``; without a slash at the end, except for "/" itself."""

    @property
    def prefix(self) -> str:
        """The path without a slash at the end, which makes no difference: every path at or below it is meant."""
        return without_slash(self.path)


def named_by(space: SpaceFacts, endpoint: Endpoint) -> tuple[str, ...]:
    """The names at which an HTTP endpoint is to be served, the FQDN first: those that it lists, or all of the Space.
    Listed names that its Space does not have are left out.
    """
    further = further_names(space)
    listed = [name for name in map(canonical, endpoint.http_hostnames) if entry_of(space, name) is not None]
    names = listed if endpoint.http_hostnames else [space.fqdn, *further]
    return tuple(sorted(set(names), key=lambda name: (name != space.fqdn, name)))


def without_slash(path: str) -> str:
    return path.rstrip("/") or "/"


def resolved_path(path: HttpRoutePath) -> ResolvedPath:
    return ResolvedPath(path.path, without_slash(path.rewrite_path) if path.rewrite_path is not None else None)


class HttpRoutes:
    """The names and paths of one App's endpoints, in the order of the spec; of two equal ones the first endpoint's."""

    def __init__(
        self, inputs: AppInputs, holds: Callable[[Endpoint, str, str], bool], refuse: Callable[[str, str], bool]
    ) -> None:
        """``holds`` returns whether the Space has a name, by its claim, and reports if it does not; ``refuse`` reports
        a reason and a message.
        """
        self._inputs = inputs
        self._holds = holds
        self._refuse = refuse
        self._paths: set[tuple[str, str]] = set()
        """(path without a slash at the end, host name)."""

    def names(self, endpoint: Endpoint) -> tuple[str, ...]:
        """The names at which the endpoint is served. Of the Space's further names that it does not list itself, those
        that another Space has are left out without a message: the Space has the condition.
        """
        space, listed = self._inputs.space, frozenset(map(canonical, endpoint.http_hostnames))
        for name in sorted(listed):
            if entry_of(space, name) is None:
                message = (
                    f"endpoint {endpoint.name} lists {shown(name)}, which is neither {space.fqdn} nor one of the "
                    f"httpHostnames of Space {space.name}; remove it, or have it added to the Space"
                )
                self._refuse(reasons.HOSTNAME_NOT_ALLOWED, message)
        found = []
        for name in named_by(space, endpoint):
            entry = entry_of(space, name) or name
            if self._inputs.claims.holds(entry):
                found.append(name)
            elif name in listed or name == space.fqdn:
                self._holds(endpoint, name, entry)
        return tuple(found)

    def free(self, endpoint: Endpoint, at: tuple[str, ...]) -> tuple[tuple[ResolvedPath, ...], tuple[str, ...]]:
        """The paths and the names that are left: at each name every path is served. A path that others have at all
        names is left out; a name at which others have one of the other paths, too.
        """
        paths: list[ResolvedPath] = []
        left = list(at)
        for each in map(resolved_path, endpoint.paths):
            taken = {name: who for name in at if (who := self._holder(each.prefix, name)) is not None}
            everywhere = len(taken) == len(at)
            for who in dict.fromkeys(taken.values()):
                names = [name for name, other in taken.items() if other == who]
                where = "" if everywhere and len(set(taken.values())) == 1 else f" at {', '.join(names)}"
                lost = f"endpoint {endpoint.name} gets no route for the path {each.path}{where}"
                message = f"{lost}: {who}; choose another path"
                self._refuse(reasons.PATH_CONFLICT, message)
            if not everywhere:
                paths.append(each)
                left = [name for name in left if name not in taken]
        self._paths |= {(each.prefix, name) for each in paths for name in left}
        return tuple(paths), tuple(left)

    def _holder(self, prefix: str, name: str) -> str | None:
        """Who serves a path at a name, if it is not this endpoint."""
        taken = self._inputs.taken
        holder = taken.get(f"path:{prefix}") or taken.get(f"path:{prefix}@{name}")
        if holder is not None:
            return f"App {holder} serves it and is older"
        return "another endpoint of this App serves it" if (prefix, name) in self._paths else None
