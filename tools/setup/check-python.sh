#!/usr/bin/env bash
# Says what is missing before anything is installed, with the Debian package that brings it.
set -euo pipefail
python=${1:-python3}

if ! command -v "$python" >/dev/null; then
  echo "headrace: $python is missing: apt-get install python3 python3-venv" >&2
  exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  echo "headrace: $($python --version) is too old, 3.11 or newer is needed: apt-get install python3" >&2
  exit 1
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  echo "headrace: the venv module of $python is missing: apt-get install python3-venv" >&2
  exit 1
fi
