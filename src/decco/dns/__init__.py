"""DNS: what a zone should hold, who owns a name in it, and the providers that carry it there.

The way of a name: ``Dns.ensure`` (service.py) -> the zone's queue (zonequeue.py) -> ``plan`` (plan.py, pure) -> the
wrappers (wrappers/) -> one provider. Nothing in here knows Kubernetes, Spaces or Apps.
"""
