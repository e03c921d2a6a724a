"""Endpoints that are for clients in the mesh alone: they have no certificate, so nothing leads to them from outside."""

from __future__ import annotations

from decco.api.types import Endpoint, Mesh, SpaceSpec


def is_mesh_only(endpoint: Endpoint, space: SpaceSpec) -> bool:
    """Whether a TCP endpoint offers its clear text Service and nothing else. One that names its host name or asks for a
    DNS record is meant for the outside, and lacks its certificate; one whose clients are known by certificates alone
    lacks it too.
    """
    certificate = endpoint.cert_and_ca_secret_name or space.tcp_cert_and_ca_secret_name
    return (
        space.mesh is not Mesh.NONE
        and endpoint.create_clear_text_service
        and not endpoint.paths
        and not endpoint.is_metrics_endpoint
        and certificate is None
        and (bool(endpoint.allowed_clients) or not endpoint.verify_tcp_client_cert)
        and endpoint.hostname is None
        and not endpoint.create_dns_record
    )
