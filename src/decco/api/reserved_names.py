"""Names that a Space cannot have, because a namespace of this name would conflict with others.

In-cluster DNS makes a namespace the last label of names that every pod resolves: with the search path of a pod, Service
``github`` in namespace ``com`` is ``github.com``. Pods also ask the search path for names with several labels, so
with a headless Service a namespace ``dev`` would answer for ``x.pkg.dev``.

The top-level domains here are those of countries in all scripts, the older generic ones, and of the newer ones those
that programs connect to: of clouds, registries and hosting services. The hundreds of others (foo, global, shop, bank)
are ordinary words that Spaces are named by; they are not refused. A cluster whose pods connect to names of such a
domain does well to end these names with a dot, as decco does in what it generates.
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
_COUNTRIES_IN_OTHER_SCRIPTS: Final = """
xn--2scrj9c xn--3e0b707e xn--3hcrj9c xn--45br5cyl xn--45brj9c xn--4dbrk0ce xn--54b7fta0cc xn--80ao21a xn--90a3ac
xn--90ae xn--90ais xn--clchc0ea0b2g2a9gcd xn--d1alf xn--e1a4c xn--fiqs8s xn--fiqz9s xn--fpcrj9c3d xn--fzc2c9e2c
xn--gecrj9c xn--h2breg3eve xn--h2brj9c xn--h2brj9c8c xn--j1amh xn--j6w193g xn--kprw13d xn--kpry57d xn--l1acc
xn--lgbbat1ad8j xn--mgb2ddes xn--mgb9awbf xn--mgba3a4f16a xn--mgba3a4fra xn--mgbaam7a8h xn--mgbah1a3hjkrd
xn--mgbai9a5eva00b xn--mgbai9azgqp6j xn--mgbayh7gpa xn--mgbbh1a xn--mgbbh1a71e xn--mgbc0a9azcg xn--mgbcpq6gpa1a
xn--mgberp4a5d4a87g xn--mgberp4a5d4ar xn--mgbgu82a xn--mgbpl2fh xn--mgbqly7c0a67fbc xn--mgbqly7cvafr xn--mgbtf8fl
xn--mgbtx2b xn--mgbx4cd0ab xn--mix082f xn--mix891f xn--nnx388a xn--node xn--o3cw4h xn--ogbpf8fl xn--p1ai
xn--pgbs0dh xn--q7ce6a xn--qxa6a xn--qxam xn--rvc1e0am3e xn--s9brj9c xn--wgbh1c xn--wgbl6a xn--xkc2al3hye2a
xn--xkc2dl3a5ee0h xn--y9a3aq xn--yfro4i67o xn--ygbi2ammx
"""
"""As in names that are asked for (RFC 5890, A-labels): xn--p1ai is that of Russia in Cyrillic."""
_GENERIC: Final = (
    "aero arpa asia biz cat com coop edu gov info int io jobs mil mobi museum name net org post pro tel travel"
)
_CONNECTED_TO: Final = "amazon android app apple aws azure cloud dev goog google gle microsoft ms page xyz youtube zip"
"""Newer generic domains with endpoints of clouds, registries and hosting services (run.app, pkg.dev, on.aws)."""
_LOCAL: Final = (
    "alt cluster clusterset consul corp default home in-addr internal intranet invalid ip6 isatap kubernetes lan local "
    "localdomain localhost mesh nomad onion openshift pod private svc wpad workgroup"
)
"""Words of cluster DNS and of reverse lookups, special-use names (RFC 6761, RFC 9476), what private networks use as a
top-level domain (also Consul, Kuma, Nomad and the API of multi-cluster Services), and names by
which programs find their configuration. With a search path, service.consul is first asked for as
service.consul.svc.cluster.local, which a headless Service of a Space consul answers."""

_LISTS: Final = (_COUNTRIES, _COUNTRIES_IN_OTHER_SCRIPTS, _GENERIC, _CONNECTED_TO, _LOCAL)
RESERVED: Final = tuple(sorted({name for each in _LISTS for name in each.split()}))
RESERVED_PREFIXES: Final = ("kube-", "openshift-")
"""System namespaces: https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/"""


def is_reserved(name: str) -> bool:
    return name in _RESERVED or name.startswith(RESERVED_PREFIXES)


_RESERVED: Final = frozenset(RESERVED)
