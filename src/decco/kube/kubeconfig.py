"""Reads kubeconfig files: merges them as kubectl does, selects a context, and reports mistakes in one line.

Pure except for reading the files named; handles the format (``k8s.io/client-go/tools/clientcmd/api/v1``), not
connections. Rules taken from client-go: of several files the first to name a cluster, user, context or current-context
wins; relative paths are relative to the file that names them; inline data wins over a file.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from decco.errors import ConfigError

Section = dict[str, Any]

_FILE_FIELDS = {
    "clusters": ("certificate-authority",),
    "users": ("client-certificate", "client-key", "tokenFile"),
}


@dataclass(frozen=True)
class ContextInUse:
    """The content of one context of a kubeconfig; paths are absolute."""

    source: str
    """The files it came from, for messages."""
    name: str
    cluster: Section
    user: Section
    user_name: str
    namespace: str = ""

    @property
    def of_cluster(self) -> str:
        return f"the cluster of context {self.name!r} of kubeconfig {self.source}"

    @property
    def of_user(self) -> str:
        return f"user {self.user_name!r} of kubeconfig {self.source}"


def read(paths: Sequence[Path], context: str | None) -> ContextInUse:
    """The context named, or the current one, of the files that exist among ``paths``. Raises ConfigError."""
    source = os.pathsep.join(str(p) for p in paths)
    merged: dict[str, dict[str, Section]] = {"clusters": {}, "users": {}, "contexts": {}}
    current = ""
    for path in paths:
        document = _document(path)
        current = current or _text(document.get("current-context"), f"current-context of {path}")
        for kind, entries in merged.items():
            for name, entry in _entries(document, kind, path).items():
                entries.setdefault(name, entry)
    wanted = context or current
    known = ", ".join(sorted(merged["contexts"])) or "none"
    if not wanted:
        raise ConfigError(f"kubeconfig {source} has no current-context: name one with --context (it has: {known})")
    chosen = merged["contexts"].get(wanted)
    if chosen is None:
        raise ConfigError(
            f"kubeconfig {source} has no context {wanted!r}: name another with --context (it has: {known})"
        )
    names = {part: _text(chosen.get(part), f"{part} of context {wanted!r}") for part in ("cluster", "user")}
    for part, name in names.items():
        if name not in merged[f"{part}s"] and (name or part == "cluster"):
            raise ConfigError(
                f"context {wanted!r} of kubeconfig {source} names a {part} that is not there: "
                f"add {name!r}, or name another context with --context"
            )
    cluster, user = merged["clusters"][names["cluster"]], merged["users"].get(names["user"], {})
    namespace = _text(chosen.get("namespace"), f"namespace of context {wanted!r}")
    return ContextInUse(source, wanted, cluster, user, names["user"], namespace)


def content_of(section: Section, field: str, where: str) -> bytes | None:
    """What ``<field>-data`` (base64) or else the file ``<field>`` holds, None if neither is set."""
    data = section.get(f"{field}-data")
    if data:
        try:
            return base64.b64decode("".join(data.split()), validate=True)
        except (binascii.Error, AttributeError, ValueError) as error:
            raise ConfigError(f"{field}-data of {where} must be base64: {error}") from error
    path = section.get(field)
    return read_file(Path(path), f"{field} of {where}") if path else None


def read_file(path: Path, what: str) -> bytes:
    """The file's bytes; a missing or unreadable one is a ConfigError that names its user or cluster."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{what}: cannot read {path} ({error.strerror or error}): correct the path, or who may read it"
        ) from error


def _document(path: Path) -> Section:
    raw = read_file(path, "kubeconfig")
    try:
        document = yaml.safe_load(raw)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or "it cannot be decoded"
        raise ConfigError(f"kubeconfig {path} is not valid YAML{line}: {problem}") from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigError(f"kubeconfig {path} must be a mapping with clusters, users and contexts")
    return document


def _entries(document: Section, kind: str, path: Path) -> dict[str, Section]:
    """The named entries of one list of a file, their paths made absolute."""
    singular = kind[:-1]
    entries: dict[str, Section] = {}
    listed = document.get(kind) or []
    if not isinstance(listed, list):
        raise ConfigError(f"{kind} of kubeconfig {path} must be a list")
    for item in listed:
        if not isinstance(item, dict) or not isinstance(item.get("name"), str):
            raise ConfigError(f"{kind} of kubeconfig {path} has an entry without a name: give it one")
        entry = item.get(singular) or {}
        if not isinstance(entry, dict):
            raise ConfigError(f"{singular} {item['name']!r} of kubeconfig {path} must be a mapping")
        entries.setdefault(item["name"], _absolute(entry, kind, path.parent))
    return entries


def _absolute(entry: Section, kind: str, folder: Path) -> Section:
    changed = dict(entry)
    for field in _FILE_FIELDS.get(kind, ()):
        if changed.get(field):
            changed[field] = os.path.normpath(folder / _text(changed[field], field))
    plugin = changed.get("exec")
    if kind == "users" and isinstance(plugin, dict):
        command = plugin.get("command")
        if isinstance(command, str) and "/" in command:  # a bare name is looked up in PATH
            changed["exec"] = {**plugin, "command": os.path.normpath(folder / command)}
    return changed


def _text(value: Any, what: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ConfigError(f"{what} must be text: {value!r}")
    return value
