#!/usr/bin/env bash
# Makes a virtual environment from a lock file, with uv where there is one, else with pip. Without a lock file it is that
# of developers, in which decco itself is installed as editable. Usage: venv.sh <folder> [<lock file>]. The Python is that
# of python.sh.
set -euo pipefail
venv=$1
lock=${2:-requirements/dev.txt}
cd "$(dirname "$0")/.."

python=$(bash requirements/python.sh)
echo "with $("$python" --version) ($python)"

rm -rf "$venv"
if uv --version >/dev/null 2>&1; then
  uv venv --quiet --python "$python" "$venv"
  export VIRTUAL_ENV=$PWD/$venv
  uv pip install --quiet --require-hashes --requirement "$lock"
  [ $# -gt 1 ] || uv pip install --quiet --no-deps --no-build-isolation --editable .
else
  "$python" -m venv "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --requirement "$lock"
  [ $# -gt 1 ] || "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
fi
