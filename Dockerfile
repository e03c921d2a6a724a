# The controller's image: Debian's Python, decco and its dependencies, the public certificate authorities; no shell, no
# compiler, no pip. images/controller/build_root.py defines the content.
#
#   docker build -t decco-controller .        or, also without Docker: make images
#
# For a reproducible image: pin the base by digest (--build-arg BASE=debian@sha256:...), set SOURCE_DATE_EPOCH, and let
# BuildKit rewrite the times of layers (--output type=image,rewrite-timestamp=true); buildah does so with --timestamp.
# Python packages are pinned by hash; Debian's are the newest of its stable release, because security updates of Python
# and OpenSSL are more important than reproducibility.
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS build
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
    ca-certificates python3 python3-venv
COPY LICENSE README.md pyproject.toml /decco/
COPY requirements /decco/requirements
COPY images/stunnel/build_root.py /decco/images/stunnel/build_root.py
COPY images/controller/build_root.py /decco/images/controller/build_root.py
COPY src /decco/src
ARG SOURCE_DATE_EPOCH=0
RUN SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH} python3 /decco/images/controller/build_root.py /image

FROM scratch
LABEL org.opencontainers.image.title="decco controller" \
      org.opencontainers.image.description="Turns Spaces and Apps into Kubernetes objects, and keeps them so" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /image /
USER 65532:65532
# Fails during the build, not in a cluster, if a module or a library is missing.
RUN ["/usr/local/bin/decco-controller", "--version"]
RUN ["/usr/local/bin/decco", "crds"]
# Keeps glibc from holding freed memory: after each list of a reconnect it otherwise keeps a little more. Figures:
# docs/design/2026-11-23-soak.md
ENV MALLOC_ARENA_MAX=2 MALLOC_TRIM_THRESHOLD_=131072 MALLOC_MMAP_THRESHOLD_=131072
EXPOSE 8080
# For engines without Kubernetes' probes. It uses the default of metricsBindAddress.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
  CMD ["/usr/bin/python3.11", "-I", "-c", "from http.client import HTTPConnection as C; c = C('127.0.0.1', 8080, timeout=4); c.request('GET', '/healthz'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["/usr/local/bin/decco-controller"]
