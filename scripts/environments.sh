# What the scripts share that make virtual environments; they source it. shellcheck shell=sh
#
# Reads: PYTHON (which Python to use; default: the newest that is found).

# Make the environment, unless there is one whose Python runs.
make_environment() {
    if ! "$1/bin/python" -c '' 2>/dev/null; then
        python=$(sh scripts/find-python.sh)
        echo "Making $1 with $("$python" --version) ($python)"
        "$python" -m venv --clear "$1"
    fi
}

# Install what the further arguments say into the environment. uv is faster where it is there; what
# it installs is the same.
install_into() {
    into=$1/bin/python
    shift
    if command -v uv >/dev/null 2>&1; then
        uv pip install --quiet --python "$into" "$@"
    else
        "$into" -m pip --disable-pip-version-check install --quiet "$@"
    fi
}
