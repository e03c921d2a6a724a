"""``make release``: what is published of one version, in ``dist/``, the same bytes from the same commit.

    parts.py     wheel, source archive, manifests in one file, chart
    images.py    the images as OCI archives
    sbom.py      what is in them, by spdx.py (SPDX)
    bundle.py    the same for the Operator Lifecycle Manager
    __main__.py  all of it, with checksums and digests

docs/operations/releasing.md says what is in it and how it is published; the reasons are in
docs/design/2026-11-30-release.md.
"""
