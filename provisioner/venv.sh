# A virtual environment for a checkout, made once and made again when pyproject.toml changes.
# Sourced by provisioner/run and tests/run; defines functions and nothing else.

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# The first Python that is new enough and can make environments.
find_python() {
    for python in python3 python3.13 python3.12 python3.11; do
        if "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
            >/dev/null 2>&1; then
            command -v "$python"
            return
        fi
    done
    return 1
}

# ensure_venv ROOT VENV EXTRAS: have ROOT installed in VENV, with [EXTRAS] if not empty.
ensure_venv() {
    stamp=$(cat "$1/pyproject.toml" "$1/provisioner/venv.sh" | cksum)
    if [ "$(cat "$2/.stamp" 2>/dev/null)" = "$stamp" ]; then return; fi
    if ! python=$(find_python); then
        echo "provision needs Python 3.11 or newer with venv; installing it with apt-get" >&2
        as_root apt-get update -q >&2
        as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install -q -y --no-install-recommends python3 python3-venv >&2
        python=$(find_python) || {
            echo "there is still no Python 3.11: install one, then run this again" >&2
            exit 3
        }
    fi
    echo "making $2 (once; a minute)" >&2
    rm -rf "$2"
    "$python" -m venv "$2"
    "$2/bin/pip" install -qq --disable-pip-version-check --editable "$1${3:+[$3]}" >&2
    echo "$stamp" >"$2/.stamp"
}
