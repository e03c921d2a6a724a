"""What happens to a platform all day, drawn by dice from a seed: users, vandals, other controllers, networks.

Most of it is what changes nothing (an annotation that somebody touches), as on any platform. The order of what is begun
follows from the seed; what meets what does not, as in life.
"""

from __future__ import annotations

import asyncio
import copy
import random
from collections import Counter
from collections.abc import Awaitable, Callable

from testbed.controlplane import ControlPlane
from testbed.faults import Action, CutReply, Drop, LoseReply, refuse
from testbed.proxy import FaultProxy
from testbed.watchstream import WatchStream
from tests.integration.harness import APIS, Obj, http_app
from tests.integration.replicas import LEASE
from tests.soak.world import (
    CHILDREN,
    PATIENCE,
    SECRETS,
    SECRETS_PATH,
    Administrator,
    World,
    apps_path,
    secret_name,
    soak_secret,
    space_path,
    touch,
)

HANDS = 12
"""How many things happen at once."""
ROBBERIES = 12
"""Of one child in an hour: a few more in quick succession are a drift conflict; decco backs off for minutes."""
BREAKS = (
    WatchStream.end,
    WatchStream.break_off,
    WatchStream.expire,
    WatchStream.garble,
    WatchStream.cut,
    WatchStream.silence,
)


class Churn:
    """``happened`` counts what was done, by name."""

    def __init__(self, cp: ControlPlane, proxy: FaultProxy, admin: Administrator, world: World, seed: int) -> None:
        self._cp, self._proxy, self._admin, self._world = cp, proxy, admin, world
        self._dice = random.Random(seed)
        self._robbed: Counter[str] = Counter()
        self._guests = 0
        self.happened: Counter[str] = Counter()
        deeds: list[tuple[Callable[[], Awaitable[object]], float]] = [
            (self.touch_app, 770),
            (self.touch_space, 40),
            (self.touch_secret, 100),
            (self.edit_app, 25),
            (self.edit_space, 2),
            (self.recreate_app, 8),
            (self.guest, 6),
            (self.rob, 12),
            (self.vandalise, 12),
            (self.renew_secret, 1),
            (self.unshare_secret, 1),
            (self.delete_secret, 0.5),
            (self.refuse_requests, 6),
            (self.break_watch, 6),
        ]
        self._deeds = [deed for deed, _ in deeds]
        self._weights = [weight for _, weight in deeds]

    async def until(self, enough: Callable[[], bool]) -> None:
        """Goes on until asked not to; what is under way is finished."""
        self._robbed.clear()

        async def hand() -> None:
            while not enough():
                (deed,) = self._dice.choices(self._deeds, self._weights)
                self.happened[deed.__name__] += 1
                await deed()

        async with asyncio.TaskGroup() as group:
            for _ in range(HANDS):
                group.create_task(hand())
        self._proxy.clear()
        for stream in self._proxy.watches():
            stream.speak()
        # What the deaf have missed they find out only by a new list.
        for stream in self._proxy.watches():
            if stream.swallowed:
                await stream.expire()

    # Users

    def _app(self) -> str:
        return self._dice.choice(self._world.app_paths())

    def _secret(self) -> str:
        return secret_name(self._dice.randrange(SECRETS))

    async def touch_app(self) -> None:
        await self._admin.patch(self._app(), touch(self.happened.total()))

    async def touch_space(self) -> None:
        await self._admin.patch(space_path(self._dice.choice(self._world.names())), touch(self.happened.total()))

    async def touch_secret(self) -> None:
        """It is used by many: a quarter of the Spaces is reconciled, with all their Apps, and nothing has changed."""
        await self._admin.patch(f"{SECRETS_PATH}/{self._secret()}", touch(self.happened.total()))

    async def edit_app(self) -> None:
        """Another image, or another number of replicas; now and then two at once, and a conflict with decco."""
        path = self._app()
        change: Obj = {"initialReplicas": self._dice.randrange(4)}
        if self._dice.random() < 0.5:
            wanted = copy.deepcopy(self._world.full[path]["spec"]["pod"])
            wanted["containers"][0]["image"] = f"registry.example/app:{self._dice.randrange(1000)}"
            change = {"pod": wanted}
        await asyncio.gather(
            self._admin.patch(path, {"spec": change}), self._admin.patch(path, touch(self.happened.total()))
        )

    async def edit_space(self) -> None:
        """A customer moves into another project: the policies of all its Apps are reconciled."""
        name = self._dice.choice(self._world.names())
        await self._admin.patch(space_path(name), {"spec": {"project": f"project-{self._dice.randrange(5)}"}})

    async def recreate_app(self) -> None:
        """Deleted, and created again under its name before its children are gone."""
        path = self._app()
        await self._admin.ask("DELETE", path)
        if self._dice.random() < 0.7:
            await self._admin.ask("POST", path.rpartition("/")[0], self._world.full[path])

    async def guest(self) -> None:
        """An App of a name that was never there before, and another guest leaves."""
        self._guests += 1
        space = self._dice.choice(self._world.names())
        await self._admin.ask("POST", apps_path(space), http_app(space, f"guest-{self._guests}"))
        leaving = self._dice.randrange(max(1, self._guests - 20), self._guests + 1)
        for name in self._world.names():
            await self._admin.ask("DELETE", f"{apps_path(name)}/guest-{leaving}")

    async def renew_secret(self) -> None:
        number = self._dice.randrange(SECRETS)
        await self._admin.patch(f"{SECRETS_PATH}/{secret_name(number)}", {"data": soak_secret(number)["data"]})

    async def unshare_secret(self) -> None:
        """The owner takes the consent back from all but one, and gives it again for the next checkpoint."""
        path = f"{SECRETS_PATH}/{self._secret()}"
        one = self._dice.choice(["soak-00", "*"])
        await self._admin.patch(path, {"metadata": {"annotations": {"decco.platform9.com/share-with": one}}})

    async def delete_secret(self) -> None:
        await self._admin.ask("DELETE", f"{SECRETS_PATH}/{self._secret()}")

    # Vandals

    def _child(self) -> str:
        """One that was not hurt too often yet."""
        while True:
            _, namespace, _, name = self._app().rsplit("/", 3)
            path = self._dice.choice(CHILDREN).format(namespace, name)
            if self._robbed[path] < ROBBERIES:
                self._robbed[path] += 1
                return path

    async def rob(self) -> None:
        await self._admin.ask("DELETE", self._child())

    async def vandalise(self) -> None:
        """Takes decco's label away, by which it finds its own, or its hash."""
        labels = {"app.kubernetes.io/managed-by": self._dice.choice([None, "vandal"])}
        annotations = {"decco.platform9.com/hash": self._dice.choice([None, "0"])}
        hurt = self._dice.choice([{"labels": labels}, {"annotations": annotations}])
        await self._admin.patch(self._child(), {"metadata": hurt})

    # The network, and the API server

    async def refuse_requests(self) -> None:
        """The next request or two of decco's fail in one of the ways in which requests do."""
        refusals = [refuse(409), refuse(429, retry_after=1), refuse(500), refuse(503)]
        actions: list[Action] = [*refusals, Drop(), LoseReply(), CutReply()]
        action = self._dice.choice(actions)
        method = self._dice.choice(["POST", "PUT", "DELETE", "GET"])
        self._proxy.add(action, method=method, watch=False, times=self._dice.randrange(1, 3), path="/(?!leases)[a-z]+")

    async def break_watch(self) -> None:
        streams = self._proxy.watches()
        if streams:
            done = self._dice.choice(BREAKS)(self._dice.choice(streams))
            if done is not None:
                try:
                    await done
                except ConnectionError:
                    self.happened["watch was gone"] += 1

    # Once an hour, or every few hours

    async def recreate_space(self) -> None:
        """A customer leaves with all it has, and comes back under the same name for the next checkpoint."""
        self.happened["recreate_space"] += 1
        await self._admin.ask("DELETE", space_path(self._dice.choice(self._world.names())))

    async def pass_through_space(self) -> None:
        """A customer of a name that was never there before, for a short time."""
        self.happened["pass_through_space"] += 1
        name = f"guest-{self.happened['pass_through_space']}"
        wanted = next(iter(self._world.full.values()))
        await self._admin.ask("POST", f"{APIS}/spaces", {**wanted, "metadata": {"name": name}})
        async with asyncio.timeout(PATIENCE):
            while (await self._admin.ask("POST", apps_path(name), http_app(name, "web")))[0] != 201:  # noqa: ASYNC110
                await asyncio.sleep(0.2)
        await self._admin.ask("DELETE", space_path(name))

    async def take_lease(self) -> None:
        """Somebody else leads for two seconds: everything that leading began has to end, and begins again."""
        self.happened["take_lease"] += 1
        await self._admin.patch(LEASE, {"spec": {"holderIdentity": "somebody", "leaseDurationSeconds": 2}})

    async def restart_apiserver(self) -> None:
        """And the controller manager, which in a cluster ends with its Lease. One that had lived on was seen to leave a
        Service of an App that was gone, for the whole observation (100 s).
        """
        self.happened["restart_apiserver"] += 1
        self._admin.up.clear()
        try:
            await asyncio.to_thread(self._cp.stop_apiserver, kill=self._dice.random() < 0.5)
            await asyncio.to_thread(self._cp.start_apiserver)
            await asyncio.to_thread(self._cp.restart_manager)
        finally:
            self._admin.up.set()
