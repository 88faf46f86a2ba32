#!/bin/sh
# Install the packages of npm that some tests need, where that is expected: on CI (CI=true) and as root. Elsewhere say
# how, and succeed: those tests are then skipped with the reason.
set -eu
cd "$(dirname "$0")/.."

if [ "${CI:-}" != true ] && [ "$(id -u)" -ne 0 ]; then
    .venv/bin/python -c 'import sys; from lab.adapters.node_packages import is_installed; sys.exit(not is_installed())' ||
        echo 'to run the tests of adapters in JavaScript:  .venv/bin/python -m lab.adapters.node_packages' >&2
    exit 0
fi
.venv/bin/python -m lab.adapters.node_packages >/dev/null ||
    echo 'the tests of adapters in JavaScript are skipped' >&2
