"""The users of each Secret, so that a change of one Secret does not reconcile every Space and App."""

from __future__ import annotations

from collections.abc import Collection

from decco.objects import Key

_NOBODY: dict[Key, None] = {}
_NOWHERE: dict[str, dict[Key, None]] = {}


class SecretUsers:
    """Spaces (keys without a namespace) and Apps by the names of the Secrets that they name. Not thread-safe."""

    def __init__(self) -> None:
        self._users: dict[str, dict[str, dict[Key, None]]] = {}
        """Secret's name -> Space -> its users there."""

    def add(self, user: Key, names: Collection[str]) -> None:
        """``user`` names these Secrets in addition to its former ones."""
        for name in names:
            self._users.setdefault(name, {}).setdefault(_space_of(user), {})[user] = None

    def remove(self, user: Key, names: Collection[str]) -> None:
        """``user`` no longer names these Secrets."""
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
        """All Spaces and Apps that name the Secret."""
        return [user for users in self._users.get(name, _NOWHERE).values() for user in users]

    def users_in(self, space: str, name: str) -> list[Key]:
        """The users of the Secret in one Space: the Space itself, its Apps."""
        return list(self._users.get(name, _NOWHERE).get(space, _NOBODY))


def _space_of(user: Key) -> str:
    return user.namespace or user.name
