"""Names that a Space cannot have, because a namespace of this name would conflict with others.

In-cluster DNS makes a namespace the last label of names that every pod resolves: with the search path of a pod, Service
``github`` in namespace ``com`` is ``github.com``. Pods also ask the search path for names with several labels, so
with a headless Service a namespace ``dev`` would answer for ``x.pkg.dev``.

The top-level domains here are those of countries, the older generic ones, and of the newer ones those that programs
connect to: of clouds, registries and hosting services. The hundreds of others (foo, global, shop, bank) are ordinary
words that Spaces are named by; they are not refused. A cluster whose pods connect to names of such a domain does well
to end these names with a dot, as decco does in what it generates.
"""

from __future__ import annotations

from typing import Final

_COUNTRIES: Final = """
ac ad ae af ag ai al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bm bn bo br bs bt bv bw by bz ca cc cd
cf cg ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj dk dm do dz ec ee eg er es et eu fi fj fk fm fo fr ga gb gd ge
gf gg gh gi gl gm gn gp gq gr gs gt gu gw gy hk hm hn hr ht hu id ie il im in io iq ir is it je jm jo jp ke kg kh ki
km kn kp kr kw ky kz la lb lc li lk lr ls lt lu lv ly ma mc md me mg mh mk ml mm mn mo mp mq mr ms mt mu mv mw mx my
mz na nc ne nf ng ni nl no np nr nu nz om pa pe pf pg ph pk pl pm pn pr ps pt pw py qa re ro rs ru rw sa sb sc sd se
sg sh si sj sk sl sm sn so sr ss st su sv sx sy sz tc td tf tg th tj tk tl tm tn to tr tt tv tw tz ua ug uk us uy uz
va vc ve vg vi vn vu wf ws ye yt za zm zw
"""
_GENERIC: Final = (
    "aero arpa asia biz cat com coop edu gov info int io jobs mil mobi museum name net org post pro tel travel"
)
_CONNECTED_TO: Final = "amazon android app apple aws azure cloud dev goog google gle microsoft ms page xyz youtube zip"
"""Newer generic domains with endpoints of clouds, registries and hosting services (run.app, pkg.dev, on.aws)."""
_LOCAL: Final = (
    "alt cluster corp default home in-addr internal intranet invalid ip6 isatap kubernetes lan local localdomain "
    "localhost onion openshift pod private svc wpad workgroup"
)
"""Words of cluster DNS and of reverse lookups, special-use names (RFC 6761, RFC 9476), what private networks use as a
top-level domain, and names by which programs find their configuration."""

RESERVED: Final = tuple(sorted({*_COUNTRIES.split(), *_GENERIC.split(), *_CONNECTED_TO.split(), *_LOCAL.split()}))
RESERVED_PREFIXES: Final = ("kube-", "openshift-")
"""System namespaces: https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/"""


def is_reserved(name: str) -> bool:
    return name in _RESERVED or name.startswith(RESERVED_PREFIXES)


_RESERVED: Final = frozenset(RESERVED)
