"""The pods of a run: what they serve, and how clients in pods report.

Both need only a shell with ``httpd``, ``nc`` and ``grep``, as busybox has them. A client tries all its targets, writes
the results into its termination message, and ends: so a run reads the status of pods, and needs neither logs nor exec.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from decco.frozen import frozen
from decco.objects import Obj

PATHS = ("verify", "verify/longer", "verifyx", "mended", "gone", "elsewhere", "two", "named", "shared")
"""Below each of these paths every server answers, so that only the edge decides what is reached."""
USER = 65532
MEGABYTES = "32Mi"
_STARTING = ("ContainerCreating", "PodInitializing")
"""What the kubelet gives as the reason while nothing is wrong yet."""

SLOW, DRIPS = "/cgi-bin/slow", "/cgi-bin/drip"
"""Of every server: an answer after 3 s of silence, and one with a byte every second for 7 s."""

SERVE = """\
for port in $PORTS; do
  root=/tmp/$port
  mkdir -p $root/cgi-bin
  echo "$NAME $port" > $root/who
  for path in $PATHS; do mkdir -p $root/$path; echo "$NAME $port" > $root/$path/who; done
  printf '#!/bin/sh\\nprintf "Content-Type: text/plain\\\\r\\\\n\\\\r\\\\n"\\n' > $root/cgi-bin/echo
  printf 'echo "$REQUEST_METHOD $REQUEST_URI $HTTP_HOST"\\ncat\\n' >> $root/cgi-bin/echo
  head='printf "Content-Type: text/plain\\r\\n\\r\\n"'
  printf '%s\\n' '#!/bin/sh' 'sleep 3' "$head" 'echo slow' > $root/cgi-bin/slow
  printf '%s\\n' '#!/bin/sh' "$head" 'for i in 1 2 3 4 5 6 7; do echo; sleep 1; done' 'echo end' > $root/cgi-bin/drip
  chmod +x $root/cgi-bin/*
  httpd -p $port -h $root
done
trap 'exit 0' TERM
while true; do sleep 1 & wait $!; done
"""

CLIENT = """\
attempt() {
  case $1 in
    tcp) nc -w 3 "$2" "$3" < /dev/null > /dev/null 2>&1 ;;
    http) { printf 'GET /who HTTP/1.0\\r\\n\\r\\n'; sleep 2; } | nc -w 4 "$2" "$3" 2> /dev/null | grep -q "$4" ;;
  esac
}
target() {
  id=$1 expected=$2 got=no tries=0
  shift 2
  if [ $expected = yes ]; then
    while [ $tries -lt 20 ]; do
      if attempt "$@"; then got=yes; break; fi
      tries=$((tries + 1))
      sleep 1
    done
  else
    sleep 3
    while [ $tries -lt 3 ]; do
      if attempt "$@"; then got=yes; else got=no; break; fi
      tries=$((tries + 1))
      sleep 1
    done
  fi
  echo "$id=$got" >> /tmp/results
}
echo "$TARGETS" > /tmp/targets
{
  while read -r line; do
    if [ -n "$line" ]; then target $line & fi
  done
  wait
} < /tmp/targets
cat /tmp/results > /dev/termination-log
"""
"""A connection that is expected is tried for 20 s. One that must not be counts only if it succeeds three times, seconds
after the start: network plug-ins take a moment to know a new pod."""


@frozen
class PortCheck:
    """One line for CLIENT. ``words``: ``tcp <address> <port>`` or ``http <address> <port> <pattern of the answer>``."""

    id: str
    expected: bool
    words: tuple[str, ...]

    @property
    def line(self) -> str:
        return " ".join((self.id, "yes" if self.expected else "no", *self.words))


def server(image: str, name: str, ports: Iterable[int], user: int | None) -> Obj:
    """A PodSpec that serves HTTP on each port; every answer has the name and the port."""
    numbers = list(ports)
    variables = {"NAME": name, "PORTS": " ".join(map(str, numbers)), "PATHS": " ".join(PATHS)}
    container = _container(image, SERVE, variables, user)
    container["ports"] = [{"containerPort": port} for port in numbers]
    container["readinessProbe"] = {"httpGet": {"path": "/who", "port": numbers[0]}, "periodSeconds": 1}
    return {**_pod(container), "terminationGracePeriodSeconds": 5}


def client(image: str, targets: Iterable[PortCheck], user: int | None) -> Obj:
    """A PodSpec that tries all targets once and ends."""
    lines = "\n".join(target.line for target in targets)
    return {**_pod(_container(image, CLIENT, {"TARGETS": lines}, user)), "restartPolicy": "Never"}


def results(pod: Obj) -> dict[str, bool] | None:
    """Name of a check -> whether its target was reached; None while the client is not done."""
    for status in (pod.get("status") or {}).get("containerStatuses") or ():
        ended = (status.get("state") or {}).get("terminated")
        if ended is not None and status["name"] == "verify":
            lines = [line.partition("=") for line in str(ended.get("message") or "").split()]
            return {name: value == "yes" for name, _, value in lines}
    return None


def waiting(pod: Obj) -> str:
    """Why a pod has not started, in the words of the kubelet or the scheduler; "" if they say nothing.

    While an image is pulled, which takes minutes from a registry that does not answer, the kubelet has no words for it:
    then the container and its image are named.
    """
    status = pod.get("status") or {}
    pulled = ""
    for kind in ("initContainerStatuses", "containerStatuses"):
        for each in status.get(kind) or ():
            found = (each.get("state") or {}).get("waiting") or {}
            if found.get("reason") not in (None, *_STARTING):
                return f"{each['name']}: {found['reason']} {found.get('message', '')}".strip()
            if found and not pulled:
                pulled = f"{each['name']}: {found.get('reason', 'waiting')}, image {each.get('image', '')}"
    for condition in status.get("conditions") or ():
        if condition.get("status") == "False" and condition.get("reason") == "Unschedulable":
            return str(condition.get("message", ""))
    return pulled


def _pod(container: Obj) -> Obj:
    return {
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
    }


def _container(image: str, script: str, variables: Mapping[str, str], user: int | None) -> Obj:
    """Within the Pod Security level restricted."""
    return {
        "name": "verify",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/sh", "-c", script],
        "env": [{"name": name, "value": value} for name, value in variables.items()],
        "resources": {"requests": {"cpu": "5m", "memory": "8Mi"}, "limits": {"memory": MEGABYTES}},
        "securityContext": {
            "runAsNonRoot": True,
            **({"runAsUser": user} if user is not None else {}),
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - a path in the pod
    }
