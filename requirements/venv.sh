#!/usr/bin/env bash
# Makes the virtual environment from the lock file, with uv where there is one, else with pip, and installs decco itself
# in it as editable. Usage: venv.sh <folder>. The Python is that of python.sh.
set -euo pipefail
venv=$1
cd "$(dirname "$0")/.."

python=$(bash requirements/python.sh)
echo "with $("$python" --version) ($python)"

rm -rf "$venv"
if uv --version >/dev/null 2>&1; then
  uv venv --quiet --python "$python" "$venv"
  export VIRTUAL_ENV=$PWD/$venv
  uv pip install --quiet --require-hashes --requirement requirements/dev.txt
  uv pip install --quiet --no-deps --no-build-isolation --editable .
else
  "$python" -m venv "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/dev.txt
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
fi
