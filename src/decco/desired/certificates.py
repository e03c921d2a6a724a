"""The condition CertificatesReady of an App: whether there is a usable Secret for all that it encrypts.

A missing or invalid Secret is only reported: it does not change an object, and running pods keep running.
"""

from __future__ import annotations

from decco.desired import findings, reasons
from decco.desired.endpoints import endpoints_of
from decco.desired.findings import Finding
from decco.desired.model import AppInputs, SecretState, SecretView
from decco.desired.secrets import CA_CRT, problem_of


def certificate_findings(inputs: AppInputs) -> tuple[Finding, ...] | None:
    """Problems with the certificates of an App; None if it uses no certificates, () if there are no problems."""
    needs = _Needs(inputs)
    if not needs.secrets and not needs.problems:
        return None
    problems = list(needs.problems)
    for name, verifies in sorted(needs.secrets.items()):
        view = inputs.secrets.get(name) or SecretView(name, SecretState.MISSING)
        problem = problem_of(
            view,
            space=inputs.space.name,
            controller_namespace=inputs.settings.namespace,
            now=inputs.now,
            local=name in needs.own,
        )
        if problem is not None:
            problems.append(findings.certificates(problem.reason, problem.message))
        elif verifies and view.facts is not None and not view.facts.has_ca:
            message = (
                f"Secret {name} has no {CA_CRT}, by which endpoint {verifies} is to verify its clients; add it, or "
                "name another Secret"
            )
            problems.append(findings.certificates(reasons.SECRET_INVALID, message))
    return tuple(problems)


class _Needs:
    """The Secrets that an App's endpoints and egresses need; ``own`` are those that the App names itself."""

    def __init__(self, inputs: AppInputs) -> None:
        self.secrets: dict[str, str] = {}
        """Name -> an endpoint that verifies its clients by the Secret's ca.crt, or ""."""
        self.own: set[str] = set()
        self.problems: list[Finding] = []
        space = inputs.space.spec
        endpoints = [e for e in endpoints_of(inputs.name, inputs.spec) if not e.is_metrics_endpoint]
        if any(endpoint.http_path is not None for endpoint in endpoints):
            if space.http_cert_secret_name is not None:
                self._add(space.http_cert_secret_name)
            else:
                message = (
                    f"Space {inputs.space.name} names no httpCertSecretName, so there is no certificate for "
                    f"https://{inputs.space.fqdn}; set it, or serve TCP endpoints only"
                )
                self.problems.append(findings.certificates(reasons.CERTIFICATE_MISSING, message))
        for endpoint in endpoints:
            if endpoint.http_path is not None or endpoint.disable_tls_termination:
                continue
            verifies = endpoint.verify_tcp_client_cert or bool(endpoint.allowed_clients)
            if endpoint.cert_and_ca_secret_name is not None:
                self._add(endpoint.cert_and_ca_secret_name, endpoint.name if verifies else "", own=True)
            elif space.tcp_cert_and_ca_secret_name is not None:
                self._add(space.tcp_cert_and_ca_secret_name, endpoint.name if verifies else "")
            else:
                message = (
                    f"endpoint {endpoint.name} has no certificate and takes no connections: set certAndCaSecretName, "
                    "the Space's tcpCertAndCaSecretName, or disableTlsTermination if the container speaks TLS itself"
                )
                self.problems.append(findings.certificates(reasons.CERTIFICATE_MISSING, message))
        for egress in inputs.spec.tls_egresses:
            if egress.cert_and_ca_secret_name is not None:
                self._add(egress.cert_and_ca_secret_name, own=True)
            elif space.tcp_cert_and_ca_secret_name is not None:
                self._add(space.tcp_cert_and_ca_secret_name)

    def _add(self, secret: str, verifies: str = "", *, own: bool = False) -> None:
        self.secrets[secret] = self.secrets.get(secret) or verifies
        if own:
            self.own.add(secret)
