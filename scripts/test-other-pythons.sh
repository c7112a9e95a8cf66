#!/bin/sh
# Run the unit tests on every further CPython from 3.12 on that this machine has.
# Those marked slow try much of the same: they run on one Python only.
#
# Usage: test-other-pythons.sh
# "Further" means: of another minor version than .venv. Looks on PATH and among pyenv's versions;
# what does not run, is no final release, or lacks venv, does not count.
set -eu

cd "$(dirname "$0")/.."

minor_version() {
    "$1" -c '
import ensurepip, platform, sys, sysconfig, venv
if (
    sys.version_info >= (3, 12)
    and sys.version_info.releaselevel == "final"
    and platform.python_implementation() == "CPython"
    and not sysconfig.get_config_var("Py_GIL_DISABLED")
):
    print("%d.%d" % sys.version_info[:2])
' 2>/dev/null || true
}

tests=
for folder in tests/core tests/crew tests/plugins tests/stores; do
    [ ! -d "$folder" ] || tests="$tests $folder"
done
[ -n "$tests" ] || exit 0

done=" $(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])') "
running=
outputs=$(mktemp -d)
trap 'rm -rf "$outputs"' EXIT
for python in python3.12 python3.13 python3.14 python3.15 \
    "${PYENV_ROOT:-$HOME/.pyenv}"/versions/*/bin/python3; do
    version=$(minor_version "$python")
    case $version in '') continue ;; esac
    case $done in *" $version "*) continue ;; esac
    done="$done$version "

    "${MAKE:-make}" --no-print-directory ".venv-$version/.tests" PYTHON="$python"
    echo "Unit tests on Python $version have begun"
    # All at the same time, for tests wait a lot; what they print comes one after the other.
    # shellcheck disable=SC2086  # the folders are words
    ".venv-$version/bin/python" -m pytest --no-header -q -p no:cacheprovider -m "not slow" \
        --numprocesses 2 --dist loadfile $tests >"$outputs/$version" 2>&1 &
    running="$running $version:$!"
done

status=0
for one in $running; do
    version=${one%:*}
    echo "Unit tests on Python $version"
    wait "${one#*:}" || status=$?
    cat "$outputs/$version"
done
exit "$status"
