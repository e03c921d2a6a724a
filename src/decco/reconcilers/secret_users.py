"""Who names which Secret, so that a change of one Secret does not look at every Space and App."""

from __future__ import annotations

from collections.abc import Collection

from decco.objects import Key

_NOBODY: dict[Key, None] = {}
_NOWHERE: dict[str, dict[Key, None]] = {}


class SecretUsers:
    """Spaces (keys without a namespace) and Apps by the names of the Secrets that they want. Not thread-safe."""

    def __init__(self) -> None:
        self._users: dict[str, dict[str, dict[Key, None]]] = {}
        """Secret's name -> Space -> who names it there."""

    def add(self, user: Key, names: Collection[str]) -> None:
        """``user`` names these Secrets, beside those that it named before."""
        for name in names:
            self._users.setdefault(name, {}).setdefault(_space_of(user), {})[user] = None

    def remove(self, user: Key, names: Collection[str]) -> None:
        """``user`` names these Secrets no more."""
        space = _space_of(user)
        for name in names:
            spaces = self._users.get(name, {})
            users = spaces.get(space, {})
            users.pop(user, None)
            if not users:
                spaces.pop(space, None)
            if not spaces:
                self._users.pop(name, None)

    def users(self, name: str) -> list[Key]:
        """Everybody in the cluster who names the Secret."""
        return [user for users in self._users.get(name, _NOWHERE).values() for user in users]

    def users_in(self, space: str, name: str) -> list[Key]:
        """Who names the Secret in one Space: the Space itself, its Apps."""
        return list(self._users.get(name, _NOWHERE).get(space, _NOBODY))


def _space_of(user: Key) -> str:
    return user.namespace or user.name
