import time
from tests.simulation import clock, world as w
from tests.simulation.world import World
def main(argv):
    w.configure_log(print if argv else None)
    t0=clock.real_perf_counter()
    world=World(1, controllers=1)
    world.user.create({"kind":"Space","metadata":{"name":"a"},"spec":{"domainName":"example.net","project":"p"}})
    world.daemons[0].start()
    ok=world.run(lambda: (s:=world.get("Space","a")) and w.ready(s).startswith("True"), 60)
    print(ok, clock.CLOCK.now-clock.START, world.network.requests, world.scheduler.steps)
    world.user.create({"kind":"App","metadata":{"name":"web","namespace":"a"},"spec":{"pod":{"containers":[{"name":"m","image":"i","ports":[{"containerPort":80}]}]},"httpUrlPath":"/web"}})
    ok=world.run(lambda: (s:=world.get("App","web","a")) and w.ready(s).startswith("True"), 60)
    print(ok, clock.CLOCK.now-clock.START, world.network.requests, world.scheduler.steps)
    world.wait(600)
    print(clock.CLOCK.now-clock.START, world.network.requests, world.scheduler.steps)
    for o in world.etcd.objects.values(): print(o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"], w.ready(o))
    print(world.errors, world.daemons[0].process.errors, world.zone.contents)
    world.end()
    print("real", clock.real_perf_counter()-t0)
    return 0
