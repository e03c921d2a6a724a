"""Requests to the API server: plain dicts in and out, every failure an exception, every call with a time limit.

Why not the generated client: its typed lists decode 15 to 30 times slower, its raw calls return 4xx as success, and
none of its calls ends by itself. This file prepares URLs and bodies; ``transport.py`` sends them.

Semantics follow the API concepts page (https://kubernetes.io/docs/reference/using-api/api-concepts/).
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Collection
from typing import Final
from urllib.parse import quote, urlencode

import orjson

from decco.frozen import frozen
from decco.kube import depth
from decco.kube.connection import Connection
from decco.kube.errors import AlreadyExists, BadRequest, Conflict, Forbidden, NotFound
from decco.kube.transport import Observer, Outages, Transport, garbled
from decco.log import get_logger
from decco.objects import FIELD_MANAGER, Key, Obj, Resource, key_of

log = get_logger(__name__)

PAGE_BYTES: Final = 2_000_000
"""Target size of a list page: it decodes in about 10 ms, which blocks the event loop for that time."""
FIRST_PAGE: Final = 64
"""Items of a list's first page, while their size is not known."""

_PLAIN_SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*").fullmatch
_FROM_US: Final = f"fieldManager={FIELD_MANAGER}"
_STRICT: Final = f"?{_FROM_US}&fieldValidation=Strict"
_LENIENT: Final = f"?{_FROM_US}&fieldValidation=Ignore"


@frozen
class ListPage:
    """One page of a list; ``remaining``: whether more pages follow.

    ``resource_version`` is that of the whole list, the same on each of its pages: a watch starts there.
    """

    items: list[Obj]
    resource_version: str
    remaining: bool


class Client:
    """The API server as decco uses it. Enter it with ``async with``; it is safe to use from many tasks at once.

    ``in_flight`` bounds the requests under way (watches do not count), ``timeout`` is in seconds, for one attempt.
    ``outages`` is shared with other clients of the process.
    ``by_list`` has the kinds that the account may list and not get: one object of them is read as a list of one.
    ``may_write`` is called before each request that would change anything is sent, and raises if it must not be.
    All methods raise the errors of ``kube/errors.py`` and nothing else; a name or namespace that would change the
    meaning of the URL (empty, "." or "..") is a ValueError.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        user_agent: str,
        in_flight: int = 48,
        timeout: float = 30.0,
        observe: Observer | None = None,
        dry_run: bool = False,
        may_write: Callable[[], None] = lambda: None,
        outages: Outages | None = None,
        by_list: Collection[Resource] = (),
    ) -> None:
        self.connection = connection
        self._by_list = by_list
        self.outages = outages if outages is not None else Outages()
        self._transport = Transport(
            connection,
            user_agent=user_agent,
            in_flight=in_flight,
            timeout=timeout,
            observe=observe,
            may_write=may_write,
            outages=self.outages,
        )
        self._dry_run = dry_run

    async def __aenter__(self) -> Client:
        await self._transport.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._transport.close()

    # Reading

    async def get(self, resource: Resource, key: Key) -> Obj:
        """One object as it is in etcd now (a consistent read)."""
        if resource in self._by_list:
            async for page in self.list_pages(resource, namespace=key.namespace, fields=f"metadata.name={key.name}"):
                for obj in page.items:
                    return obj
            raise NotFound(404, "NotFound", f"{resource} {key} not found")
        return await self._object("GET", resource, _object_path(resource, key))

    async def list_pages(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        labels: str = "",
        fields: str = "",
        limit: int = 500,
    ) -> AsyncGenerator[ListPage, None]:
        """All objects of a kind, page by page, every page of the same moment.

        ``limit`` is the maximum number of items of a page; large items reduce it, so that a page of 1 MiB objects
        neither fills the memory nor blocks the event loop. It is a consistent read. Each item gets its apiVersion and
        kind, which the server leaves out in lists. Raises Gone if the list took longer than the server keeps history:
        start again from scratch.
        """
        query = _selectors(labels, fields)
        size = min(limit, FIRST_PAGE)
        token = ""
        while True:
            query["limit"] = str(size)
            if token:
                query["continue"] = token
            raw = await self._transport.call("LIST", str(resource), _collection_path(resource, namespace, query))
            page, token = _page(resource, raw)
            size = _next_limit(size, limit, len(raw), len(page.items))
            del raw
            yield page
            if not token:
                return

    def watch_lines(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        labels: str = "",
        fields: str = "",
        resource_version: str,
        timeout_seconds: int,
        idle_seconds: float,
    ) -> AsyncGenerator[bytes, None]:
        """The lines of one watch request, as they come; each is complete, of any length, without its newline.

        Ends when the server ends the stream cleanly (after ``timeout_seconds``, usually). Raises Unreachable if nothing
        arrived for ``idle_seconds``, or if the stream was cut, also in the middle of a line; ApiError for an answer
        other than 200. What the lines mean is for ``watch.py``. Close the iterator if you leave early.
        """
        query = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(timeout_seconds),
            **_selectors(labels, fields),
        }
        return self._transport.stream_lines(str(resource), _collection_path(resource, namespace, query), idle_seconds)

    async def raw(self, path: str) -> Obj:
        """GET of any path that answers with a JSON object: discovery, /version."""
        return _decode(await self._transport.call("GET", "", path), "")

    async def create_review(self, resource: Resource, review: Obj) -> Obj:
        """POST of an access review, which is answered and not stored; returns it with its ``status``."""
        body = {"apiVersion": resource.api_version, "kind": resource.kind, **review}
        return _decode(await self._transport.call("POST", str(resource), resource.path(), _body(body)), "")

    # Writing

    async def create(self, resource: Resource, obj: Obj, *, strict: bool = False) -> Obj:
        """POST; returns the object as stored. ``strict`` refuses unknown and double fields (Invalid/BadRequest)."""
        return await self._write("create", "POST", resource, _path_of_new(resource, obj), obj, strict=strict)

    async def check(self, resource: Resource, obj: Obj) -> None:
        """Raises what a strict ``create`` of this object would raise, if its name were free; changes nothing."""
        try:
            await self._preview("POST", resource, _path_of_new(resource, obj), obj)
        except AlreadyExists:
            return  # found last, by the storage: everything else has been checked
        except Forbidden as error:
            # Checked after the object itself; the quota still counts the object that this one replaces.
            if not error.quota_exceeded:
                raise
        except BadRequest as error:
            if not error.no_dry_run:
                raise

    async def preview(self, resource: Resource, obj: Obj) -> Obj:
        """What a strict ``create`` would store, or ``replace`` if there is a resourceVersion; changes nothing."""
        if obj["metadata"].get("resourceVersion"):
            return await self._preview("PUT", resource, _path_of_known(resource, obj), obj)
        return await self._preview("POST", resource, _path_of_new(resource, obj), obj)

    async def _preview(self, verb: str, resource: Resource, path: str, obj: Obj) -> Obj:
        if self._dry_run:
            return obj
        return await self._object(verb, resource, f"{path}{_STRICT}&dryRun=All", obj)

    async def replace(self, resource: Resource, obj: Obj, *, strict: bool = False) -> Obj:
        """PUT of the whole object, which carries the resourceVersion it was derived from; Conflict if that is old."""
        return await self._write("replace", "PUT", resource, _path_of_known(resource, obj), obj, strict=strict)

    async def replace_status(self, resource: Resource, obj: Obj) -> Obj:
        """PUT on /status: only the status of the object is taken, under its resourceVersion."""
        return await self._write("replace status", "PUT", resource, _path_of_known(resource, obj, "status"), obj)

    async def patch(self, resource: Resource, key: Key, patch: Obj) -> Obj:
        """Merge patch (RFC 7386); give ``metadata.resourceVersion`` in it to make it conditional."""
        return await self._write("patch", "PATCH", resource, _object_path(resource, key), patch, key)

    async def delete(
        self,
        resource: Resource,
        key: Key,
        *,
        uid: str,
        resource_version: str | None = None,
        propagation: str = "Background",
    ) -> None:
        """Delete this object; also returns if it is gone or being deleted already, or if another object has the name
        now.

        Raises NotServed if the kind is not served, which does not mean that the object is gone. Never touches an object
        with another UID. With ``resource_version`` the object must also be unchanged since, or Conflict is raised.
        ``propagation`` is Background, Foreground or Orphan. An object with finalizers is only marked.
        """
        if not uid:
            raise ValueError("a delete without a UID could hit another object of the same name")
        preconditions = {"uid": uid}
        if resource_version is not None:
            preconditions["resourceVersion"] = resource_version
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": preconditions,
            "propagationPolicy": propagation,
        }
        path = _object_path(resource, key)
        if self._dry_run:
            log.info("dry run: not sent", verb="delete", resource=str(resource), key=str(key))
            return
        try:
            await self._transport.call("DELETE", str(resource), path, _body(options))
        except NotFound:
            return
        except Conflict as error:
            if not _is_gone_or_replaced(error):
                raise

    async def _write(
        self,
        what: str,
        verb: str,
        resource: Resource,
        path: str,
        obj: Obj,
        key: Key | None = None,
        *,
        strict: bool = False,
    ) -> Obj:
        """The object as stored. A dry run only logs, and makes up the fields that a server adds and callers need;
        ``key`` is that of an ``obj`` that does not contain it.
        """
        if not self._dry_run:
            return await self._object(verb, resource, path + (_STRICT if strict else _LENIENT), obj)
        meta = {**obj.get("metadata", {}), **(key._asdict() if key else {})}
        key = key_of({"metadata": meta})
        log.info("dry run: not sent", verb=what, resource=str(resource), key=str(key))
        made_up = {
            "uid": f"dry-run:{resource}:{key}",
            # Newer than any list, so that the caches treat it as written after the last one.
            "resourceVersion": str(2**62),
            "creationTimestamp": "1970-01-01T00:00:00Z",
        }
        return {**obj, "metadata": {**meta, **{name: meta.get(name) or value for name, value in made_up.items()}}}

    async def _object(self, verb: str, resource: Resource, path: str, body: Obj | None = None) -> Obj:
        """A request whose answer is one object; metadata.name is required."""
        raw = await self._transport.call(verb, str(resource), path, None if body is None else _body(body))
        answer = _decode(raw, resource.plural)
        meta = answer.get("metadata")
        if type(meta) is not dict or "name" not in meta:
            raise garbled(resource.plural, raw)
        return answer


def _segment(text: str) -> str:
    """A name as one segment of a URL path; never one that addresses something else."""
    if _PLAIN_SEGMENT(text):
        return text
    if text in {"", ".", ".."}:
        raise ValueError(f"{text!r} cannot be a name in a URL")
    return quote(text, safe="")


def _object_path(resource: Resource, key: Key, subresource: str = "") -> str:
    return resource.path(_namespace(resource, key.namespace), _segment(key.name), subresource)


def _collection_path(resource: Resource, namespace: str, query: dict[str, str]) -> str:
    """The path for a list or watch; in all namespaces if ``namespace`` is ""."""
    return f"{resource.path(_segment(namespace) if namespace else '')}?{urlencode(query)}"


def _path_of_new(resource: Resource, obj: Obj) -> str:
    return resource.path(_namespace(resource, obj["metadata"].get("namespace", "")))


def _path_of_known(resource: Resource, obj: Obj, subresource: str = "") -> str:
    """The path for a PUT; without a resourceVersion many kinds would be overwritten unconditionally."""
    if not obj["metadata"].get("resourceVersion"):
        raise ValueError(f"a PUT of {resource} {key_of(obj)} without resourceVersion would overwrite others' changes")
    return _object_path(resource, key_of(obj), subresource)


def _namespace(resource: Resource, namespace: str) -> str:
    """The namespace as a path segment, "" for cluster-scoped kinds."""
    if not resource.namespaced:
        return ""
    return _segment(namespace)


def _selectors(labels: str, fields: str) -> dict[str, str]:
    return {name: value for name, value in (("labelSelector", labels), ("fieldSelector", fields)) if value}


def _body(obj: Obj) -> bytes:
    try:
        return orjson.dumps(obj)
    except TypeError as error:  # orjson.JSONEncodeError is a TypeError
        raise BadRequest(400, "BadRequest", f"the object cannot be written as JSON: {error}") from error


def _decode(raw: bytes, resource: str) -> Obj:
    """A JSON object, or Garbled with the beginning of what came instead."""
    try:
        answer = depth.loads(raw)
    except orjson.JSONDecodeError as error:
        raise garbled(resource, raw) from error
    if type(answer) is not dict:
        raise garbled(resource, raw)
    return answer


def _page(resource: Resource, raw: bytes) -> tuple[ListPage, str]:
    """The page and the token of the next one, "" at the end."""
    answer = _decode(raw, resource.plural)
    items = answer.get("items")
    if items is None:  # Go's way to write an empty list
        items = []
    meta = answer.get("metadata")
    if type(items) is not list or type(meta) is not dict or not meta.get("resourceVersion"):
        raise garbled(resource.plural, raw)
    token = meta.get("continue") or ""
    api_version, kind = resource.api_version, resource.kind
    for item in items:
        if type(item) is not dict:
            raise garbled(resource.plural, raw)
        item["apiVersion"] = api_version
        item["kind"] = kind
    return ListPage(items, meta["resourceVersion"], bool(token)), token


def _next_limit(size: int, limit: int, page_bytes: int, count: int) -> int:
    """Items to request next: as many as make PAGE_BYTES at the size seen; at most twice as many, at most ``limit``."""
    if not count:
        return size
    fitting = PAGE_BYTES * count // max(page_bytes, 1)
    return max(1, min(limit, 2 * size, fitting))


def _is_gone_or_replaced(error: Conflict) -> bool:
    """Whether a refused DELETE has nothing left to do: the name has another UID now, or the namespace is being deleted.
    The server reports it only in the message: BeforeDelete of k8s.io/apiserver/pkg/registry/rest/delete.go,
    Preconditions.Check of k8s.io/apiserver/pkg/storage/interfaces.go, and the namespaces' own storage.
    """
    words = ("UID in the precondition", "UID in precondition", "automatically be purged by the system")
    return any(w in error.message for w in words)
