#!/bin/sh
# Make a virtual environment with the distributions, editable, groups of dependencies, and what
# files of requirements name.
#
# Usage: set-up.sh ENVIRONMENT [GROUP | REQUIREMENTS.txt]...
# Reads: PYTHON (which Python to use; default: the newest that is found), CI (true: a test
#        server that cannot be had is an error).
set -eu

environment=$1
shift
cd "$(dirname "$0")/.."
. scripts/environments.sh

groups=
optional_groups=
for group in "$@"; do
    case $group in
        *.txt) groups="$groups -r $group" ;;
        servers) optional_groups="$optional_groups --group $group" ;;
        *) groups="$groups --group $group" ;;
    esac
done

began=$(date +%s)
make_environment "$environment"
echo "Installing into $environment: pip, the core, every plugin, and what they need"
# The first pip of an environment may be too old to know dependency groups. Nothing is built in an
# environment apart, which is slow: this one has what builds ours and what comes only as source.
install_into "$environment" 'pip>=25.1' 'hatchling>=1.27' 'setuptools>=70.1'
distributions="-e core"
for project in plugins/*/pyproject.toml; do
    distributions="$distributions -e ${project%/pyproject.toml}"
done
# One command, so that the distributions satisfy each other's requirements.
# shellcheck disable=SC2086  # the groups and distributions are words
install_into "$environment" --no-build-isolation $groups $distributions

if [ -n "$optional_groups" ]; then
    # shellcheck disable=SC2086  # the groups are words
    install_into "$environment" --only-binary :all: $optional_groups || {
        [ "${CI:-}" != true ] || exit 1
        echo "Some test servers cannot be installed here; their tests will be skipped." >&2
    }
fi
echo "Installed in $(($(date +%s) - began)) s"
