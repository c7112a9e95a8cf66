#!/bin/sh
# Make a virtual environment with the distributions, editable, and groups of dependencies.
#
# Usage: set-up.sh ENVIRONMENT [GROUP...]
# Reads: PYTHON (which Python to use; default: the newest that is found), CI (true: a test
#        server that cannot be had is an error).
set -eu

environment=$1
shift
cd "$(dirname "$0")/.."

if ! "$environment/bin/python" -c '' 2>/dev/null; then
    python=$(sh scripts/find-python.sh)
    echo "Making $environment with $("$python" --version) ($python)"
    "$python" -m venv --clear "$environment"
fi

# uv is faster where it is there; what it installs is the same.
if command -v uv >/dev/null 2>&1; then
    install() { uv pip install --quiet --python "$environment/bin/python" "$@"; }
else
    install() {
        "$environment/bin/python" -m pip --disable-pip-version-check install --quiet "$@"
    }
fi

groups=
optional_groups=
for group in "$@"; do
    case $group in
        servers) optional_groups="$optional_groups --group $group" ;;
        *) groups="$groups --group $group" ;;
    esac
done

echo "Installing into $environment"
# The first pip of an environment may be too old to know dependency groups.
install 'pip>=25.1' 'hatchling>=1.27'
distributions="-e core"
for project in plugins/*/pyproject.toml; do
    distributions="$distributions -e ${project%/pyproject.toml}"
done
# One command, so that the distributions satisfy each other's requirements.
# shellcheck disable=SC2086  # the groups and distributions are words
install --no-build-isolation $groups $distributions

if [ -n "$optional_groups" ]; then
    # shellcheck disable=SC2086  # the groups are words
    install --only-binary :all: $optional_groups || {
        [ "${CI:-}" != true ] || exit 1
        echo "Some test servers cannot be installed here; their tests will be skipped." >&2
    }
fi
