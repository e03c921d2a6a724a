"""Resolves the arguments of a command line: a Space, an App, a host name, or files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from decco.errors import DeccoError
from decco.frozen import frozen
from decco.hostnames import canonical
from decco.objects import APPS, SPACES, Key
from decco.suggest import did_you_mean
from decco.views.documents import STDIN, SUFFIXES
from decco.views.snapshot import Snapshot

_SHOWN = 5


class UnknownTargetError(DeccoError):
    """There is no visible object of this name; the text suggests similar names."""


@frozen
class ExplainTarget:
    """Exactly one of the three is set."""

    space: str | None = None
    app: Key | None = None
    hostname: str | None = None

    def __str__(self) -> str:
        if self.app is not None:
            return f"App {self.app}"
        return f"Space {self.space}" if self.space is not None else f"host name {self.hostname}"

    def namespace(self, snapshot: Snapshot) -> str | None:
        """The namespace of the App or Space, or of the Space that owns the host name, if any."""
        if self.app is not None:
            return self.app.namespace
        return self.space or snapshot.caches.claims.owner_of(self.hostname or "")


def is_file(word: str) -> bool:
    """Whether an argument names files: it is "-", exists, or has the suffix of one."""
    return word == STDIN or word.endswith(SUFFIXES) or (not _is_plain(word) and Path(word).exists())


def _is_plain(word: str) -> bool:
    """Whether the word could be a Space's name: it then means the Space, also if a folder has the same name."""
    return "/" not in word and "." not in word


def namespaces_of(words: Iterable[str], default: str | None) -> set[str]:
    """The namespaces that the words refer to, as far as is known without a cluster."""
    found = set()
    for word in words:
        namespace, slash, _ = word.partition("/")
        if slash:
            found.add(namespace)
        elif "." not in word and default is None:
            found.add(word)
    return found | ({default} if default else set())


def resolve(word: str, snapshot: Snapshot, default_namespace: str | None = None) -> ExplainTarget:
    """``namespace/app``, a Space's name, an App's name (in ``default_namespace``, or the only one of its name), or a
    host name. Raises UnknownTargetError.
    """
    caches = snapshot.caches
    if "/" in word:
        key = Key(*word.split("/", 1))
        if caches.apps.get(key) is not None:
            return ExplainTarget(app=key)
        raise _unknown("App", word, [str(entry.key) for entry in caches.apps], snapshot)
    if default_namespace is not None and caches.apps.get(Key(default_namespace, word)) is not None:
        return ExplainTarget(app=Key(default_namespace, word))
    if caches.spaces.get(Key("", word)) is not None:
        return ExplainTarget(space=word)
    apps = sorted(entry.key for entry in caches.apps if entry.key.name == word)
    if len(apps) == 1:
        return ExplainTarget(app=apps[0])
    if apps:
        listed = ", ".join(map(str, apps[:_SHOWN])) + (", …" if len(apps) > _SHOWN else "")
        raise UnknownTargetError(f"{len(apps)} Apps have the name {word}: say which, {listed}")
    if "." in word:
        return ExplainTarget(hostname=canonical(word))
    names = [entry.key.name for entry in caches.spaces] + [entry.key.name for entry in caches.apps]
    raise _unknown("Space or App", word, names, snapshot)


def objects_of(words: Iterable[str], snapshot: Snapshot, namespace: str | None) -> set[tuple[str, Key]]:
    """(kind, key) of the named objects and of those in files: each App, and each Space with its Apps."""
    chosen = {("App" if key.namespace else "Space", key) for key in snapshot.given}
    names = {key.name for key in snapshot.given if not key.namespace}
    for word in words:
        target = resolve(word, snapshot, namespace)
        if target.hostname is not None:
            raise UnknownTargetError(f"{word!r} is neither a file nor a Space nor an App; for host names use `explain`")
        if target.app is not None:
            chosen.add(("App", target.app))
        else:
            names.add(str(target.space))
    for name in names:
        chosen.add(("Space", Key("", name)))
        chosen |= {("App", entry.key) for entry in snapshot.caches.apps.in_namespace(name)}
    return chosen


def spaces_of(words: Iterable[str], snapshot: Snapshot) -> set[str]:
    """The names of Spaces; raises UnknownTargetError for anything else."""
    found = set()
    for word in words:
        target = resolve(word, snapshot)
        if target.space is None:
            raise UnknownTargetError(f"{word!r} is not a Space: graph shows whole Spaces")
        found.add(target.space)
    return found


def _unknown(what: str, word: str, known: list[str], snapshot: Snapshot) -> UnknownTargetError:
    hint = did_you_mean(word, known, quoted=True)
    if not (snapshot.may_read(SPACES) and snapshot.may_read(APPS)):
        hint += "; you may not see all of them"
    return UnknownTargetError(f"there is no {what} {word!r}{hint}")
