#!/bin/sh
# Print the newest CPython of this machine that can hold the project's environment.
#
# What is called pythonX.Y is tried, not trusted: a version manager's shim may stand for nothing.
# PYTHON, where it is set, is taken or refused, never replaced.
set -eu

usable() {
    "$1" -c '
import ensurepip, platform, sys, venv
sys.exit(sys.version_info < (3, 11) or platform.python_implementation() != "CPython")
' >/dev/null 2>&1
}

for candidate in ${PYTHON:-python3.14 python3.13 python3.12 python3.11 python3}; do
    if usable "$candidate"; then
        command -v "$candidate"
        exit 0
    fi
done

if [ -n "${PYTHON:-}" ]; then
    echo "PYTHON=$PYTHON is not a CPython 3.11 or later with the modules venv and ensurepip." >&2
else
    echo "No CPython 3.11 or later with the modules venv and ensurepip was found on PATH." >&2
    echo "Some systems ship these modules as a package of their own, such as python3-venv." >&2
    echo "Another Python is named like this: make test PYTHON=/path/to/python3.12" >&2
fi
exit 1
