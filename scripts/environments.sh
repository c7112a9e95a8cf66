# What the scripts share that make virtual environments; they source it. shellcheck shell=sh
#
# Reads: PYTHON (which Python to use; default: the newest that is found).

uv=$(command -v uv) || uv=

# Make the environment, unless there is one whose Python runs.
make_environment() {
    if ! "$1/bin/python" -c '' 2>/dev/null; then
        python=$(sh scripts/find-python.sh)
        echo "Making $1 with $("$python" --version) ($python)"
        # Installing pip into it takes seconds, and uv does not need it.
        "$python" -m venv --clear ${uv:+--without-pip} "$1"
    fi
}

# Install what the further arguments say into the environment, and say what is being done, with the
# seconds since the beginning. uv is faster where it is there; what it installs is the same.
install_into() {
    into=$1/bin/python
    shift
    if [ -n "$uv" ]; then
        "$uv" pip install --python "$into" "$@"
    else
        # The exit code is pip's: what reads its lines has another.
        status=$({ {
            code=0
            "$into" -m pip --disable-pip-version-check install --progress-bar off "$@" 2>&4 ||
                code=$?
            echo "$code" >&3
        } | show_steps >&4; } 3>&1) 4>&2
        return "$status"
    fi
}

# Show pip's steps: on a terminal in one line that changes, else a line each.
show_steps() {
    : "${began:=$(date +%s)}"
    before='' after='\n'
    [ ! -t 1 ] || { before='\r\033[K' after=''; }
    while IFS= read -r line; do
        case $line in
            'Obtaining file:'*) step="preparing $(basename "${line##*file:}")" ;;
            'Collecting '*) step=${line#Collecting } step="fetching ${step%% *}" ;;
            *'Building editable for '*': started') step=${line#*for } step="building ${step%% *}" ;;
            'Installing collected packages:'*) step='unpacking all of it' ;;
            *) continue ;;
        esac
        # shellcheck disable=SC2059  # the format is made above
        printf "$before  %3d s  %s$after" "$(($(date +%s) - began))" "$step"
    done
    # shellcheck disable=SC2059  # likewise
    printf "$before"
}
