#!/usr/bin/env bash
# Makes the virtual environment from the lock file, with uv where there is one, else with pip, and installs decco itself
# in it as editable. Usage: venv.sh <folder>. PYTHON names the Python to use; without it the newest that is found.
set -euo pipefail
venv=$1
cd "$(dirname "$0")/.."

fits() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

python=${PYTHON:-}
if [ -n "$python" ]; then
  fits "$python" || { echo "PYTHON=$python is not Python 3.11 or later"; exit 2; }
else
  for candidate in python3 python3.13 python3.12 python3.11; do
    if fits "$candidate"; then python=$candidate; break; fi
  done
  [ -n "$python" ] || { echo "there is no Python 3.11 or later on PATH: install one, or name it: make PYTHON=..."; exit 2; }
fi
echo "with $("$python" --version) ($(command -v "$python"))"

rm -rf "$venv"
if uv --version >/dev/null 2>&1; then
  uv venv --quiet --python "$(command -v "$python")" "$venv"
  export VIRTUAL_ENV=$PWD/$venv
  uv pip install --quiet --require-hashes --requirement requirements/dev.txt
  uv pip install --quiet --no-deps --no-build-isolation --editable .
else
  "$python" -m venv "$venv" || { echo "install the venv module of Python (Debian: apt-get install python3-venv)"; exit 2; }
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/dev.txt
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
fi
