"""The steps of a move. Each reads what is there and does what is missing, so a move that was killed anywhere goes on by
the same command, forwards or backwards.

The state is in the two clusters: the annotation ``decco.platform9.com/move`` of the two Spaces, and the zone. The
controllers hand the names over; this program only writes the annotations, and waits.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from decco.api.conditions import timestamp
from decco.desired.move import NO_MOVE, Move
from decco.frozen import frozen
from decco.moving.side import MoveError, Side, created_again, is_handed_over, move_of, not_ready
from decco.moving.survey import Survey, has_data, secret_for
from decco.objects import APPS, GROUP, SECRETS, SPACES, Key, Obj

POLL_SECONDS = 1.0
MARGIN_SECONDS = 5.0
"""Beside the TTL: resolvers count in whole seconds, and clocks differ."""

Say = Callable[[str], None]


@frozen
class Options:
    patience: float = 600.0
    """Seconds for the Space to become ready, for the hand-over, and for the deletion, each."""
    drain: float | None = None
    """Seconds to wait after the hand-over; None: the TTL of the records."""
    delete_data: bool = False
    """Whether volumes of the emptied cluster may be deleted."""
    poll: float = POLL_SECONDS


class Mover:
    """``say`` reports each step when it is done."""

    def __init__(self, name: str, source: Side, target: Side, options: Options, say: Say) -> None:
        self._name, self._source, self._target = name, source, target
        self._options, self._say = options, say

    async def forward(self, found: Survey) -> None:
        """From the source to the target. ``found`` has no obstacles."""
        name, source, target = self._name, self._source, self._target
        if found.source is None or is_handed_over(found.target, source):
            if found.source is not None:
                await self._drain(source, move_of(found.target).since)
            if move_of(found.target) != NO_MOVE:
                await self._empty(source)
            await self._finish(target)
            return
        for secret in found.secrets:
            await self._copy(secret)
        space = found.target
        if space is None:
            move = Move(source=source.id)
            space = await target.client.create(SPACES, created_again(found.source, **{f"{GROUP}/move": move.text()}))
            self._say(f"Space {name} created in {target}")
        await self._wait(f"the namespace in {target}", lambda: self._has_namespace(target))
        existing = {app["metadata"]["name"] for app in await target.apps(name)}
        for app in found.apps:
            if app["metadata"]["name"] not in existing:
                await target.client.create(APPS, created_again(app))
                self._say(f"App {name}/{app['metadata']['name']} created in {target}")
        await self._wait(f"{target} to serve", lambda: self._not_serving(target, dns=False))
        self._say(f"{target} serves the Space, but for its DNS records")
        await self._hand_over(source, target)
        await self._empty(source)
        await self._finish(target)

    async def back(self, found: Survey) -> None:
        """Whatever of a move was done is undone; the source has the Space as before."""
        source, target = self._source, self._target
        if found.source is None:
            raise MoveError(
                f"Space {self._name} is not in {source} any more: move it from {target.context} to it instead"
            )
        if "deletionTimestamp" in found.source["metadata"]:
            raise MoveError(
                f"{source} is being emptied already: run the command without --back, then move the Space back"
            )
        if found.target is not None:
            if source.id not in (move_of(found.target).source, move_of(found.target).to):
                raise MoveError(f"Space {self._name} in {target} was not created by a move from {source.id}: it stays")
            if move_of(found.source) == NO_MOVE:  # nothing was offered, so nobody has the target's addresses
                await self._empty(target)
            else:
                await self._hand_over(target, source)
                await self._empty(target)
        elif not await target.is_gone(self._name):
            await self._wait(f"{target} to be empty", lambda: self._not_gone(target))
        await self._finish(source)

    async def _copy(self, secret: Obj) -> None:
        target = self._target
        key = Key(target.settings.namespace, secret["metadata"]["name"])
        if await target.find(SECRETS, key) is None:
            await target.client.create(SECRETS, secret_for(secret, target))
            self._say(f"Secret {key} copied to {target}")

    async def _hand_over(self, giver: Side, receiver: Side) -> None:
        """All names go from one cluster to the other, each in one change of the zone, and resolvers forget the old
        addresses.
        """
        name = self._name
        getting, giving = await receiver.space(name), await giver.space(name)
        if getting is None or giving is None:
            raise MoveError(f"Space {name} was removed meanwhile: run the command again to see what is left")
        if not (move_of(getting).source == giver.id and move_of(getting).since and move_of(giving).to == receiver.id):
            # Who receives first: so no name is on offer that nobody takes.
            getting = await receiver.set_move(getting, Move(source=giver.id))
            giving = await giver.set_move(giving, Move(to=receiver.id))
            self._say(f"{giver} offers the names of the Space to {receiver}")
            await self._wait("the names to be handed over", lambda: self._not_handed_over(giver, receiver))
            getting = await receiver.set_move(getting, Move(source=giver.id, since=timestamp(datetime.now(UTC))))
            self._say(f"{receiver} has all names")
        await self._drain(giver, move_of(getting).since)

    async def _not_handed_over(self, giver: Side, receiver: Side) -> str:
        space = await giver.space(self._name)
        uids = {obj["metadata"]["uid"] for obj in (*([space] if space else ()), *await giver.apps(self._name))}
        owners = await receiver.owners()
        left = sorted(name for name, owner in owners.items() if owner.cluster == giver.id and owner.uid in uids)
        if left:
            return f"{giver} still has {', '.join(left)}"
        return await self._not_serving(receiver, dns=True)

    async def _drain(self, giver: Side, since: str) -> None:
        seconds = self._options.drain
        if seconds is None:
            seconds = giver.settings.dns.ttl + MARGIN_SECONDS
        left = datetime.fromisoformat(since).timestamp() + seconds - time.time()
        if left > 0:
            self._say(f"waiting {left:.0f} s for resolvers to forget the addresses of {giver}")
            await asyncio.sleep(left)

    async def _empty(self, side: Side) -> None:
        """Deletes the Space with all that is in its namespace."""
        name = self._name
        space = await side.space(name)
        if space is not None and "deletionTimestamp" not in space["metadata"]:
            if not self._options.delete_data and await has_data(name, side):
                raise MoveError(
                    f"the namespace {name} in {side} has volumes, whose data does not move: all else is done; copy the "
                    "data, then run the same command with --delete-data"
                )
            await side.client.delete(SPACES, Key("", name), uid=space["metadata"]["uid"])
        await self._wait(f"{side} to be empty", lambda: self._not_gone(side))
        self._say(f"{side} is empty")

    async def _finish(self, side: Side) -> None:
        space = await side.space(self._name)
        if space is None:
            raise MoveError(f"there is no Space {self._name} in either cluster")
        await side.set_move(space, NO_MOVE)
        self._say(f"{side} has the Space {self._name}")

    async def _has_namespace(self, side: Side) -> str:
        space = await side.space(self._name)
        if space is None:
            return "the Space was removed"
        conditions = {each["type"]: each for each in (space.get("status") or {}).get("conditions") or ()}
        ready = conditions.get("NetworkReady") or {}
        return "" if ready.get("status") == "True" else str(ready.get("message") or "decco reports nothing yet")

    async def _not_serving(self, side: Side, *, dns: bool) -> str:
        space = await side.space(self._name)
        if space is None:
            return "the Space was removed"
        objects = [space, *await side.apps(self._name)]
        return next((text for obj in objects if (text := not_ready(obj, dns=dns))), "")

    async def _not_gone(self, side: Side) -> str:
        return "" if await side.is_gone(self._name) else f"Space or namespace {self._name} still exists"

    async def _wait(self, what: str, missing: Callable[[], Awaitable[str]]) -> None:
        """Until ``missing`` returns "". Raises MoveError with what is missing when the patience is over."""
        end = time.monotonic() + self._options.patience
        while (text := await missing()) != "":
            if time.monotonic() > end:
                raise MoveError(f"{what} takes more than {self._options.patience:.0f} s: {text}")
            await asyncio.sleep(self._options.poll)
