#!/bin/sh
# Make a virtual environment with what a file of requirements names.
#
# Usage: set-up.sh ENVIRONMENT REQUIREMENTS
# Reads: PYTHON (which Python to use; default: the newest that is found).
set -eu

cd "$(dirname "$0")/.."
. scripts/environments.sh

make_environment "$1"
echo "Installing into $1"
install_into "$1" -r "$2"
