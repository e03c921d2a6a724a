"""DNS: the desired records of a zone, the ownership of names, and the providers that write the records.

Data flow: ``Dns.ensure`` (service.py) -> the zone's queue (zonequeue.py) -> ``plan`` (plan.py, pure) -> the wrappers
(wrappers/) -> one provider. This package does not depend on Kubernetes, Spaces or Apps.
"""
