#!/bin/sh
# Run the tests of sources, each against the framework that it observes.
#
# Usage: test-sources.sh [--all] [--counted] [ENVIRONMENT]...
# An environment is a folder of tests/sources, and has the versions that its requirements.txt
# pins. ENVIRONMENT-oldest has those of its requirements-oldest.txt; --all takes these, too, and
# has each test go its whole length.
# --counted leaves data for coverage to combine.
# Reads: PYTHON (which Python to use; default: the newest that is found), CI (true: a framework
#        that cannot be installed is an error; else its tests are left out, and that is said),
#        MAKE.
set -eu

cd "$(dirname "$0")/.."
at_once=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
[ "$at_once" -le 4 ] || at_once=4

all=
counted=
named=
for argument in "$@"; do
    case $argument in
        --all)
            all=yes
            export HVOBS_LONG_RUN=true
            ;;
        --counted) counted='coverage run -m' ;;
        -*)
            echo "test-sources.sh: there is no option $argument" >&2
            exit 2
            ;;
        *) named="$named $argument" ;;
    esac
done
if [ -z "$named" ]; then
    for file in tests/sources/*/requirements.txt ${all:+tests/sources/*/requirements-oldest.txt}; do
        [ -e "$file" ] || continue
        environment=${file#tests/sources/}
        case $file in
            *-oldest.txt) named="$named ${environment%/*}-oldest" ;;
            *) named="$named ${environment%/*}" ;;
        esac
    done
fi

stamps=
for environment in $named; do
    stamps="$stamps .cache/sources/$environment/.tests"
done
# shellcheck disable=SC2086  # the stamps are words
"${MAKE:-make}" --no-print-directory --keep-going -j "$at_once" $stamps || true
status=0
ready=
for environment in $named; do
    # Is it there, and does it fit its requirements?
    if "${MAKE:-make}" --question ".cache/sources/$environment/.tests" 2>/dev/null; then
        ready="$ready $environment"
    elif [ "${CI:-}" = true ]; then
        echo "The environment $environment could not be made" >&2
        status=1
    else
        echo "The environment $environment could not be made here: its tests were NOT run" >&2
    fi
done

[ -n "$ready" ] || exit "$status"

# A process for each of some environments at a time; each prints its output when it has ended.
# shellcheck disable=SC2016  # the inner shell expands it
one='
environment=$1
shift
echo "Tests in $environment have begun"
output=$(mktemp)
status=0
".cache/sources/$environment/bin/python" -m "$@" --no-header -q -p no:cacheprovider \
    "tests/sources/${environment%-oldest}" >"$output" 2>&1 || status=$?
{ echo "Tests in $environment"; cat "$output"; }
rm -f "$output"
exit "$status"
'
# The largest begin first, so that none of them goes on alone at the end.
for environment in $ready; do
    echo "$(cat "tests/sources/${environment%-oldest}"/*.py | wc -c) $environment"
done | sort -rn | cut -d ' ' -f 2 |
    # shellcheck disable=SC2086  # words
    xargs -P "$at_once" -I '{}' sh -c "$one" sh '{}' $counted pytest || status=1
exit "$status"
