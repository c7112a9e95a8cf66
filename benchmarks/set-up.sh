#!/bin/sh
# Make a virtual environment with what a file of requirements names.
#
# Usage: set-up.sh ENVIRONMENT REQUIREMENTS
# Reads: PYTHON (which Python to use; default: the newest that is found).
set -eu

environment=$1
requirements=$2
cd "$(dirname "$0")/.."

if ! "$environment/bin/python" -c '' 2>/dev/null; then
    python=$(sh scripts/find-python.sh)
    echo "Making $environment with $("$python" --version)"
    "$python" -m venv --clear "$environment"
fi

echo "Installing into $environment"
if command -v uv >/dev/null 2>&1; then
    uv pip install --quiet --python "$environment/bin/python" -r "$requirements"
else
    "$environment/bin/python" -m pip --disable-pip-version-check install --quiet -r "$requirements"
fi
