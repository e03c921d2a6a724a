#!/usr/bin/env bash
# Prints the path of the Python to use: that of the variable PYTHON, else the newest that is found.
set -euo pipefail

fits() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

python=${PYTHON:-}
if [ -n "$python" ]; then
  fits "$python" || { echo "PYTHON=$python is not Python 3.11 or later" >&2; exit 2; }
else
  for candidate in python3 python3.13 python3.12 python3.11; do
    if fits "$candidate"; then python=$candidate; break; fi
  done
  [ -n "$python" ] || {
    echo "there is no Python 3.11 or later on PATH: install one (Debian 12, Ubuntu 24.04: sudo apt-get install python3)," \
      "or name it: make PYTHON=..." >&2
    exit 2
  }
fi
command -v "$python"
