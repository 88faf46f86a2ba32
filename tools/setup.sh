#!/bin/sh
# Make .venv and install the pinned dependencies and the project into it; do nothing when it is up to date.
#
# Up to date is a matter of content, not of timestamps: a fingerprint of the pins, the build configuration, the
# interpreter and the directory is kept in .venv. A copied or moved tree gets a new environment, because the scripts
# of a virtual environment carry its path.
#
#   PYTHON=/path/to/python   the interpreter to use (default: the first of python3, python3.13 ... that is >= 3.11)
set -eu
cd "$(dirname "$0")/.."
venv=.venv

fail() {
    printf 'make setup: %s\n' "$@" >&2
    exit 4
}

new_enough() {
    command -v "$1" >/dev/null 2>&1 && "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

choose_python() {
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if new_enough "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    fail "Python 3.11 or newer is needed; looked for: ${PYTHON:-python3 python3.13 python3.12 python3.11}." \
        "On Debian 12+ or Ubuntu 24.04+:  apt-get install python3 python3-venv" \
        "Elsewhere name one:              make PYTHON=/path/to/python3.11 setup"
}

can_make_environments() {
    "$1" -c 'import ensurepip, venv' 2>/dev/null
}

# Debian splits the venv module's pip from python3: as root it can be had, otherwise say what to ask for.
need_venv() {
    can_make_environments "$1" && return
    if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; then
        tools/system-packages.sh python3-venv || true
        can_make_environments "$1" && return
    fi
    fail "$1 cannot make virtual environments: its venv or ensurepip module is missing." \
        "On Debian or Ubuntu, as root:  apt-get install python3-venv" \
        "Or name another interpreter:   make PYTHON=/path/to/python3.11 setup"
}

fingerprint() {
    pwd -P
    "$1" -c 'import sys; print(sys.version, sys.base_prefix)'
    sha256sum constraints/all.txt pyproject.toml tools/setup.sh
}

usable() {
    [ -x "$venv/bin/python" ] && "$venv/bin/python" -c 'import pip' 2>/dev/null &&
        [ "$(cat "$venv/.made-in" 2>/dev/null)" = "$(pwd -P)" ]
}

# A linked .venv is looked after where it lives.
if [ -L "$venv" ] && [ -x "$venv/bin/python" ]; then
    exit 0
fi

python=$(choose_python)
# An environment that works is kept with the interpreter it has; only a named PYTHON replaces it.
if [ -z "${PYTHON:-}" ] && usable; then
    python=$venv/bin/python
fi
wanted=$(fingerprint "$python")
if usable && [ "$(cat "$venv/.fingerprint" 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi
need_venv "$python"

# Two makes in one tree take turns; the second then finds the work done.
if [ -z "${CALLPATH_SETUP_LOCKED:-}" ] && command -v flock >/dev/null 2>&1; then
    CALLPATH_SETUP_LOCKED=1 exec flock tools/setup.sh "$0"
fi

if ! usable || [ -n "${PYTHON:-}" ]; then
    printf 'make setup: new environment in %s with %s (%s)\n' "$venv" "$python" "$("$python" --version)"
    "$python" -m venv --clear "$venv" || fail "cannot make $venv with $python -m venv (see above)."
    pwd -P >"$venv/.made-in"
fi
rm -f "$venv/.fingerprint"
pip() {
    "$venv/bin/python" -m pip --disable-pip-version-check --no-input "$@"
}
# Wheels only: no build step of a dependency runs on this machine, and every byte is named by its hash.
pip install -qq --only-binary :all: --require-hashes --requirement constraints/all.txt ||
    fail "cannot install constraints/all.txt: see pip's message above (no network, or an index that lacks a file)."
pip install -qq --no-deps --no-build-isolation --editable . ||
    fail "cannot install the project itself into $venv: see pip's message above."
fingerprint "$python" >"$venv/.fingerprint"
printf 'make setup: %s is ready\n' "$venv"
