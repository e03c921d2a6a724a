"""What is in an image, as SPDX 2.3 in JSON: Debian's and Python's packages, read from the image itself.

``python tools/release/spdx.py ARCHIVE NAME VERSION EPOCH TARGET``, in the environment of releases, which has
spdx-tools: its model, its writer, and its validator, which judges the document before it is written. So this imports
nothing of decco. The sources are those of scanners: ``var/lib/dpkg/status.d`` and ``*.dist-info/METADATA``; a list made
of the lock files would leave out what is Debian's, such as OpenSSL.
"""

from __future__ import annotations

import io
import json
import sys
import tarfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.parser import HeaderParser
from pathlib import Path
from urllib.parse import quote

from license_expression import ExpressionError
from spdx_tools.common.spdx_licensing import spdx_licensing
from spdx_tools.spdx.model import (
    Actor,
    ActorType,
    Checksum,
    ChecksumAlgorithm,
    CreationInfo,
    Document,
    ExternalPackageRef,
    ExternalPackageRefCategory,
    Package,
    PackagePurpose,
    Relationship,
    RelationshipType,
    SpdxNoAssertion,
)
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document
from spdx_tools.spdx.writer.json.json_writer import write_document_to_stream

NAMESPACE = "https://decco.platform9.com/spdx"
DEBIAN = "var/lib/dpkg/status.d/"
PYTHON = ".dist-info/METADATA"
DISTRIBUTION = "debian-12"
IMAGE = "SPDXRef-Image"


@dataclass(frozen=True, slots=True)
class Found:
    """A package in the image; ``licence`` is an SPDX expression, or empty if the package has none in this form."""

    kind: str
    name: str
    version: str
    url: str
    licence: str
    homepage: str = ""
    supplier: str = ""

    @property
    def reference(self) -> str:
        plain = "".join(each if each.isalnum() else "-" for each in f"{self.kind}-{self.name}-{self.version}")
        return f"SPDXRef-{plain}"


def read(archive: Path) -> tuple[str, list[Found]]:
    """The digest of an OCI archive's image, and its packages by kind and name."""
    with tarfile.open(archive) as tar:

        def blob(descriptor: Mapping[str, str]) -> bytes:
            return _content(tar, f"blobs/sha256/{descriptor['digest'].removeprefix('sha256:')}")

        [listed] = json.loads(_content(tar, "index.json"))["manifests"]
        layers = json.loads(blob(listed))["layers"]
        found = [each for layer in layers for each in _packages(blob(layer))]
    return listed["digest"], sorted(found, key=lambda each: (each.kind, each.name))


def _packages(layer: bytes) -> Iterator[Found]:
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        for member in tar:
            if not member.isfile():
                continue
            if DEBIAN in member.name:
                yield _debian(_content(tar, member.name))
            elif member.name.endswith(PYTHON):
                yield _python(_content(tar, member.name))


def _debian(status: bytes) -> Found:
    fields = HeaderParser().parsestr(status.decode())
    name, version, architecture = fields["Package"], fields["Version"], fields["Architecture"]
    url = f"pkg:deb/debian/{quote(name)}@{quote(version)}?arch={architecture}&distro={DISTRIBUTION}"
    return Found("deb", name, version, url, "", fields["Homepage"] or "", fields["Maintainer"] or "")


def _python(metadata: bytes) -> Found:
    fields = HeaderParser().parsestr(metadata.decode())
    name, version = fields["Name"], fields["Version"]
    pages = [each.partition(", ")[2] for each in fields.get_all("Project-URL") or () if "home" in each.lower()]
    url = f"pkg:pypi/{quote(name.lower().replace('_', '-'))}@{quote(version)}"
    licence = fields["License-Expression"] or fields["License"] or ""
    return Found("pypi", name, version, url, licence, fields["Home-page"] or "".join(pages[:1]))


def _content(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    assert file is not None
    return file.read()


def document(name: str, version: str, digest: str, found: Sequence[Found], epoch: int) -> Document:
    """The same for the same image and commit, from which time and name of the document follow."""
    image = Package(
        spdx_id=IMAGE,
        name=name,
        version=version,
        download_location=SpdxNoAssertion(),
        primary_package_purpose=PackagePurpose.CONTAINER,
        checksums=[Checksum(ChecksumAlgorithm.SHA256, digest.removeprefix("sha256:"))],
        license_declared=spdx_licensing.parse("Apache-2.0"),
        license_comment="Of decco itself. Each package in the image has its own.",
        files_analyzed=False,
    )
    return Document(
        CreationInfo(
            spdx_version="SPDX-2.3",
            spdx_id="SPDXRef-DOCUMENT",
            name=f"{name}-{version}",
            document_namespace=f"{NAMESPACE}/{name}-{version}-{uuid.uuid5(uuid.NAMESPACE_URL, digest)}",
            creators=[
                Actor(ActorType.ORGANIZATION, "decco project"),
                Actor(ActorType.TOOL, f"decco-release-{version}"),
            ],
            created=datetime.fromtimestamp(epoch, UTC).replace(tzinfo=None),
        ),
        packages=[image, *(_package(each) for each in found)],
        relationships=[
            Relationship("SPDXRef-DOCUMENT", RelationshipType.DESCRIBES, IMAGE),
            *(Relationship(IMAGE, RelationshipType.CONTAINS, each.reference) for each in found),
        ],
    )


def _package(found: Found) -> Package:
    name, _, address = found.supplier.partition(" <")
    return Package(
        spdx_id=found.reference,
        name=found.name,
        version=found.version,
        supplier=Actor(ActorType.ORGANIZATION, name, address.rstrip(">") or None) if name else None,
        homepage=found.homepage if found.homepage.startswith("http") else None,
        download_location=SpdxNoAssertion(),
        files_analyzed=False,
        license_declared=_licence(found.licence),
        license_comment="See usr/share/doc of the image." if found.kind == "deb" else None,
        external_references=[
            ExternalPackageRef(ExternalPackageRefCategory.PACKAGE_MANAGER, "purl", found.url),
        ],
    )


def _licence(text: str) -> object:
    """Older metadata has whole texts or names of its own in the field: these are not asserted."""
    try:
        return spdx_licensing.parse(text, validate=True, strict=True) if text else SpdxNoAssertion()
    except ExpressionError:
        return SpdxNoAssertion()


def main(arguments: Sequence[str]) -> int:
    """Exit status 1 if the document is not valid SPDX."""
    archive, name, version, epoch, target = arguments
    digest, found = read(Path(archive))
    made = document(name, version, digest, found, int(epoch))
    mistakes = validate_full_spdx_document(made)
    for each in mistakes:
        sys.stderr.write(f"{each.validation_message} ({each.context.spdx_id})\n")
    if mistakes:
        return 1
    with Path(target).open("w", encoding="utf-8") as stream:
        write_document_to_stream(made, stream, validate=False)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
