"""Small sabotages of decco's source, of which the tests must find each: ``table.py`` says which does, and how soon."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).parents[2] / "src" / "decco"


class Sabotage(NamedTuple):
    """``old`` occurs once in the file and is replaced by ``new``."""

    name: str
    file: str
    old: str
    new: str


SABOTAGES = (
    # watches, informers, stores
    Sabotage(
        "a 410 is not followed by a list",
        "kube/watch.py",
        "            if not isinstance(error, TooManyRequests):\n                self.version = None",
        "            pass",
    ),
    Sabotage(
        "an outage is not followed by a list",
        "kube/watch.py",
        "        if refused or now - self.failing_since >= OUTAGE_SECONDS:\n            self.version = None",
        "        return",
    ),
    Sabotage(
        "the outage of another request does not count",
        "kube/transport.py",
        "self._outages.count += 1",
        "pass",
    ),
    Sabotage(
        "deletions of a watch are dropped", "kube/watch.py", "            return Delete(obj)", "            return None"
    ),
    Sabotage(
        "a silent watch is not noticed",
        "kube/transport.py",
        "sock_connect=CONNECT_SECONDS, sock_read=idle_seconds)",
        "sock_connect=CONNECT_SECONDS, sock_read=None)",
    ),
    Sabotage(
        "a garbled line ends the informer's trust in nothing",
        "kube/watch.py",
        "            case Garbled():\n",
        "            case Garbled() if False:\n",
    ),
    Sabotage(
        "a list does not remove what is not in it",
        "kube/store.py",
        "                self._record_deletion(old.uid, list_version)\n                self._delete(old)",
        "                pass",
    ),
    Sabotage(
        "older versions replace newer ones",
        "kube/store.py",
        "        if self._gone.version(new.uid) >= new.version or (old is not None and old.version >= new.version):\n"
        "            return\n",
        "",
    ),
    Sabotage(
        "a list does not replace newer versions",
        "kube/store.py",
        "                    self._replace(old, entry)",
        "                    self._apply(entry, own=False, initial=True)",
    ),
    Sabotage(
        "an answer does not go into the store",
        "kube/apply.py",
        "        store.apply_if_newer(made, own=True)\n",
        "",
    ),
    Sabotage(
        "a mark of a deletion outlives a list",
        "kube/store.py",
        "        return old if old.deleting == deleting else replace(old, deleting=deleting)",
        "        return old",
    ),
    Sabotage("tombstones are skipped", "kube/store.py", "        self._gone.record(uid, version)", "        pass"),
    Sabotage(
        "a run is recorded of what the cache has",
        "reconcilers/job_runs.py",
        "if self.simulated or (changed == record and not lost):",
        "if self.simulated or not lost:",
    ),
    # writes
    Sabotage(
        "deletes carry no UID", "kube/client.py", '        preconditions = {"uid": uid}', "        preconditions = {}"
    ),
    Sabotage(
        "alterations by others are not repaired",
        "kube/apply.py",
        "        intact = known[0] == entry.content if known else not altered(live, desired, entry.foreign, shape)",
        "        intact = True",
    ),
    Sabotage(
        "every reconcile writes",
        "kube/apply.py",
        "        if intact and same_meta(live, body):",
        "        if False:",
    ),
    Sabotage(
        "what is settled is compared again and written",
        "kube/apply.py",
        "        if known == (entry.content, entry.meta) and desired_hash in",
        "        if False and desired_hash in",
    ),
    Sabotage(
        "objects of others are taken over",
        "kube/identity.py",
        "def is_ours(",
        "def is_ours(*_: object) -> bool:\n    return True\n\n\ndef _is_ours(",
    ),
    Sabotage(
        "nothing is pruned",
        "kube/prune.py",
        " if (store.resource, each.key) not in keep and not each.deleting]",
        " if False]",
    ),
    Sabotage(
        "pruning ignores what is desired",
        "kube/prune.py",
        " if (store.resource, each.key) not in keep and not each.deleting]",
        " if not each.deleting]",
    ),
    Sabotage(
        "a restored copy is not taken in",
        "kube/apply.py",
        "            store.refresh(key, entry)\n        applied",
        "            pass\n        applied",
    ),
    Sabotage(
        "writes are sent again after a lost connection",
        "kube/transport.py",
        '                if verb not in ("GET", "LIST") or away or lost == MAX_LOST_READS:',
        "                if away or lost == MAX_LOST_READS:",
    ),
    Sabotage(
        "a deletion names no UID",
        "kube/client.py",
        '        preconditions = {"uid": uid}\n',
        "        preconditions = {}\n",
    ),
    Sabotage(
        "finalizers of others are taken off",
        "kube/diff.py",
        '"resourceVersion", "finalizers") if name in meta},',
        '"resourceVersion") if name in meta},',
    ),
    Sabotage(
        "what has a copied owner reference elsewhere is pruned",
        "kube/store.py",
        " for key in keys if (key.namespace or key.name) == namespace]",
        " for key in keys]",
    ),
    # leader election
    Sabotage("the fence lets everything pass", "kube/fence.py", "        if not self.allows():", "        if False:"),
    Sabotage(
        "the Lease of another is taken at once",
        "kube/lease.py",
        "        return now() < self._free_at\n",
        "        return False\n",
    ),
    Sabotage(
        "a Lease that cannot be renewed is kept",
        "kube/leader.py",
        "            if sent >= renewed + self._times.renew:",
        "            if False:",
    ),
    Sabotage(
        "work goes on without the Lease",
        "kube/leader.py",
        "                task.cancel()\n                await asyncio.wait({task})\n",
        "                await asyncio.wait({task})\n",
    ),
    Sabotage(
        "the first process leads for ever",
        "kube/lease.py",
        "        if not holder or (holder == self._identity and self._maybe_ours):\n            return False",
        "        if not holder or (holder == self._identity and self._maybe_ours):\n            return False\n"
        "        return True",
    ),
    # queues
    Sabotage(
        "a failed key is not tried again",
        "kube/controller.py",
        "        pause = self.queue.retry(key)\n",
        "        pause = 0.0\n",
    ),
    Sabotage(
        "a conflict is not tried again",
        "kube/controller.py",
        "            pause = self.queue.retry_conflict(key)\n",
        "            pause = 0.0\n",
    ),
    Sabotage(
        "a key that changes while it is processed is lost",
        "kube/workqueue.py",
        "            self.add(key, again)",
        "            pass",
    ),
    Sabotage(
        "requeue_after is ignored",
        "kube/controller.py",
        "                self.queue.add_after(key, action.requeue_after)",
        "                pass",
    ),
    Sabotage(
        "a group's busy count is not given back",
        "kube/workqueue.py",
        "        self._busy[group] -= 1\n        if not self._busy[group]:\n            del self._busy[group]",
        "        pass",
    ),
    # event handlers
    Sabotage(
        "an edit of a Space does not reach its Apps",
        "reconcilers/handlers/space.py",
        "    yield from apps_of(caches, name)\n    for key in caches.index",
        "    for key in caches.index",
    ),
    Sabotage(
        "a change of a child does not reach its owner",
        "reconcilers/handlers/child.py",
        "                yield Request(owner, priority)",
        "                continue",
    ),
    Sabotage(
        "a change of a shared Secret reaches nobody",
        "reconcilers/handlers/secret.py",
        "    for user in caches.secret_users.users(name):",
        "    for user in ():",
    ),
    Sabotage(
        "Spaces that wait for a name are not enqueued",
        "reconcilers/handlers/space.py",
        "            yield from space_and_apps(caches, other)",
        "            continue",
    ),
    Sabotage(
        "a recorded grant enqueues nobody",
        "reconcilers/handlers/namespace.py",
        "        yield from space_and_apps(caches, other)\n    if new is not None:\n",
        "        continue\n    if False:\n",
    ),
    Sabotage(
        "callers in other Spaces are not enqueued",
        "reconcilers/handlers/app.py",
        "                yield Request(caller)",
        "                continue",
    ),
    Sabotage(
        "a child without owner reference is nobody's",
        "reconcilers/handlers/child.py",
        "                yield Request(entry.labelled_owner.key, priority)",
        "                continue",
    ),
    # reconcilers
    Sabotage(
        "copies are not read again after an outage",
        "reconcilers/copies.py",
        "(known.due <= self._clock() or lists != known.lists)",
        "known.due <= self._clock()",
    ),
    Sabotage(
        "consent is assumed",
        "reconcilers/secrets.py",
        "        return entry.facts if self._consent(space, entry.facts) else None",
        "        return entry.facts",
    ),
    Sabotage(
        "a copy is not revoked",
        "reconcilers/secrets.py",
        "        return {name for name, seconds in left.items() if not seconds}, min(",
        "        return set(), min(",
    ),
    Sabotage(
        "Apps do not wait for the isolation of their Space",
        "reconcilers/app.py",
        "        if not self.caches.namespace_is_ready(space):",
        "        if False:",
    ),
    Sabotage(
        "a Space that joins a project is not listed as its member in a mesh",
        "reconcilers/handlers/mesh.py",
        "        if space.name != without and space.spec.project in projects and mesh_record",
        "        if False and mesh_record",
    ),
    Sabotage(
        "a Space does not enter its mesh when its policies are there",
        "desired/mesh_state.py",
        "            if switch.waits:\n                return live.phase, None\n            over, after",
        "            if True:\n                return live.phase, None\n            over, after",
    ),
    Sabotage(
        "a Space that leaves its mesh keeps the policies",
        "desired/mesh_state.py",
        "            over, after = switch.seconds, MeshPhase.OFF",
        "            over, after = switch.seconds, MeshPhase.PREPARED",
    ),
    Sabotage(
        "service accounts of a Space that is there later are not permitted",
        "reconcilers/handlers/mesh.py",
        "    return (Request(key) for key in caches.index.servers_of_space(name))",
        "    return iter(())",
    ),
    Sabotage(
        "Apps do not wait for the record of a grant",
        "reconcilers/app.py",
        "        if self.caches.claims.claims_of(space.name).pending:",
        "        if False:",
    ),
    Sabotage(
        "the finalizer comes after the record",
        "reconcilers/records.py",
        "        if addresses and not recorded and any(self._dns.serves(name) for name in names):\n"
        "            current = await self._set_finalizer(store, current, present=True)\n",
        "",
    ),
    Sabotage(
        "the finalizer goes before the record",
        "reconcilers/records.py",
        "            if waiting or not self._dns.gone(entry.uid):",
        "            if waiting:",
    ),
    Sabotage(
        "records are wanted for what is gone",
        "reconcilers/records.py",
        "    if current is None or current.uid != entry.uid:",
        "    if False:",
    ),
    Sabotage(
        "a write of a copy without an answer counts as not made",
        "reconcilers/secret_access.py",
        "                self.unconfirmed.add(namespace)",
        "                pass",
    ),
    Sabotage(
        "a lost permission for Secrets is not obtained again",
        "reconcilers/secret_access.py",
        "        if not self._is_recent(self._bound, space.uid):",
        "        if space.uid not in self._bound:",
    ),
    Sabotage(
        "a refusal is not tried again",
        "reconcilers/rejections.py",
        "        return replace(refusal, requeue_after=pause)",
        "        return replace(refusal, requeue_after=None)",
    ),
    Sabotage(
        "a refusal stands whatever is desired since",
        "reconcilers/rejections.py",
        "        else:\n            left = 0.0\n",
        "        else:\n            left = known.until - now\n",
    ),
    # kinds that come and go
    Sabotage(
        "a kind that is not served any more is not noticed",
        "informers.py",
        "                self.caches.search.set()",
        "                pass",
    ),
    Sabotage(
        "a kind that is served again is not followed",
        "informers.py",
        "        returned = self._vanished & found.keys()",
        "        returned = self._vanished & set()",
    ),
    Sabotage(
        "nothing is reconciled for a kind that is served again",
        "informers.py",
        "        await self._fill(served)\n        await self.event_handlers.enqueue_all()",
        "        await self._fill(served)",
    ),
    # claims
    Sabotage(
        "a transfer is done again and again",
        "desired/claims.py",
        " != self.transferred(other).get(name):",
        ":",
    ),
    Sabotage(
        "a name that is not lost counts as granted",
        "desired/model.py",
        "        return canonical(claimed) in self.granted\n",
        "        return canonical(claimed) not in self.lost and canonical(claimed) not in self.pending\n",
    ),
    Sabotage(
        "what was given up stays granted",
        "desired/claims.py",
        " and (record is None or self._claims_name(space, claim))",
        "",
    ),
    Sabotage(
        "the holder of a name does not block others",
        "desired/claims.py",
        "            if blocker is not None:\n                lost[claim] = blocker\n            elif grant",
        "            if grant",
    ),
    Sabotage(
        "a grant counts before it is recorded",
        "desired/claims.py",
        "            elif grant is not None and grant.recorded and not grant.released:",
        "            elif grant is not None and not grant.released:",
    ),
    Sabotage(
        "any Space may be granted any name",
        "desired/claims.py",
        "        new = {claim for claim in claimed.claims - grants.keys() if self._blocker(space, claim) is None}",
        "        new = set(claimed.claims - grants.keys())",
    ),
    Sabotage(
        "a name is released while it is served",
        "desired/claims.py",
        "        released = {claim: replace(grants[claim], released=True) for claim in claims}",
        "        released = {claim: replace(grants[claim], released=True) for claim in self.leaving(space)}",
    ),
    # desired state
    Sabotage(
        "the hash does not change with the desired state",
        "kube/diff.py",
        "def hash_of(",
        'def hash_of(_: object) -> str:\n    return "0"\n\n\ndef _hash_of(',
    ),
    Sabotage(
        "an owner reference is given back whether the owner exists or not",
        "kube/apply.py",
        "            if restores_owner(live, desired) and not await owner_remains(self._client, desired):\n",
        "            if False:\n",
    ),
    Sabotage(
        "an owner reference is given back to an owner that is being deleted",
        "kube/identity.py",
        ' and "deletionTimestamp" not in found["metadata"]',
        "",
    ),
    # fields of later versions
    Sabotage(
        "the first ready pod of a canary reaches nobody",
        "reconcilers/handlers/canary.py",
        "    if _ready(change.old) != _ready(change.new):",
        "    if False:",
    ),
    Sabotage(
        "an issued certificate reaches nobody",
        "reconcilers/handlers/certificate.py",
        "    if old != new and not change.initial:",
        "    if False:",
    ),
    Sabotage(
        "an issued Secret is not read again",
        "reconcilers/secrets.py",
        "        state = (certificate.uid, certificate.facts) if certificate is not None else None",
        "        state = None",
    ),
    Sabotage(
        "a policy of the shared Gateway reaches no Space with limits",
        "reconcilers/handlers/gateway.py",
        "entry.facts.spec.limits is not None:",
        "entry.facts.spec.limits is None:",
    ),
    Sabotage(
        "listeners do not wait for the policy with the permitted clients",
        "reconcilers/space.py",
        "            withheld = _LISTENERS if _is_open(first, written) else ()",
        "            withheld = ()",
    ),
    Sabotage(
        "workloads do not wait for the Secrets of their pods",
        "reconcilers/app.py",
        "        if desired.awaited is not None and not exists and not self.dependencies.simulated:",
        "        if False:",
    ),
    Sabotage(
        "the number of pods before a suspension is not recorded",
        "desired/replicas.py",
        "            annotations[ANNOTATION_FORMER_REPLICAS] = str(count)",
        "            pass",
    ),
    Sabotage(
        "the addresses of a name reach nobody",
        "leader_session.py",
        "        self._resolver.subscribe(self._event_handlers.enqueue)",
        "        pass",
    ),
    # pauses, isolation, names outside of the cluster, federation
    Sabotage(
        "a paused Space is reconciled",
        "reconcilers/space.py",
        "        if is_paused(obj):\n            return await self._pause(entry, obj)",
        "        if False:\n            return await self._pause(entry, obj)",
    ),
    Sabotage(
        "a paused App is reconciled",
        "reconcilers/app.py",
        "        return OWN_PAUSE\n    return pause_of_space",
        "        return None\n    return pause_of_space",
    ),
    Sabotage(
        "the pause of a Space does not hold for its Apps",
        "reconcilers/app.py",
        " if space is not None and space.paused else None",
        " if False else None",
    ),
    Sabotage(
        "the namespace does not say the isolation of its Space",
        "desired/isolation.py",
        "    return spec.isolation.value if spec.isolation is not Isolation.STANDARD else None",
        "    return None",
    ),
    Sabotage(
        "pods of a Space with user namespaces share those of the machine",
        "desired/isolation.py",
        '        pod["hostUsers"] = False',
        "        pass",
    ),
    Sabotage(
        "a failing resolver loses the addresses that are known",
        "resolver/service.py",
        "        name.error = found.error\n        for address",
        "        name.error = found.error\n        if found.error:\n            name.seen.clear()\n        for address",
    ),
    Sabotage(
        "a name without an answer is not asked for again",
        "resolver/service.py",
        "        self._plan(name, now + min(max(ttl",
        "        found.addresses and self._plan(name, now + min(max(ttl",
    ),
    Sabotage(
        "a cluster writes a shared name without the parts of the others",
        "dns/plan.py",
        "_shared_sets(zone, now, (*others, member), ttl)",
        "_shared_sets(zone, now, (member,), ttl)",
    ),
    Sabotage(
        "a cluster adds its addresses to no shared name",
        "dns/federation.py",
        "        for value in member.values:\n            found[",
        "        for value in member.values[: member.cluster == min(m.cluster for m in of)]:\n            found[",
    ),
    Sabotage(
        "a cluster does not join a name that others serve",
        "dns/plan.py",
        "    if rules.federation and now.members and rules.member(now) is None:\n        return  # it is shared",
        "    if False:\n        return  # it is shared",
    ),
    # DNS
    Sabotage(
        "names of others are taken over",
        "dns/plan.py",
        "        return self.is_orphan(now) and (allowed or self.uid_of(now) in self.ended)",
        "        return True",
    ),
    Sabotage(
        "records of a released owner stay",
        "dns/plan.py",
        "changes.append(_withdrawal(zone, now, rules))\n            elif",
        "pass\n            elif",
    ),
    Sabotage(
        "an owner that ended is not forgotten",
        "dns/service.py",
        "        if owner is not None and owner.former:\n            self._ownerless.add(owner_uid)\n"
        "            self.release(owner_uid)\n",
        "",
    ),
)


def replaced(sabotage: Sabotage) -> str:
    """The file's text with the sabotage; raises ValueError if its place is not there once."""
    text = (SOURCE / sabotage.file).read_text()
    if text.count(sabotage.old) != 1:
        raise ValueError(f"{sabotage.name}: {sabotage.file} has its place {text.count(sabotage.old)} times")
    return text.replace(sabotage.old, sabotage.new)
