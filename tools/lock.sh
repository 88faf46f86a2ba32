#!/bin/sh
# Resolve pyproject.toml anew into constraints/all.txt: every package by name, version and hash, no index address.
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check 'pip-tools>=7.4'
# Annotations and pip-compile's own header would name the options and indexes of this machine.
"$work/venv/bin/python" -m piptools compile --quiet --upgrade --all-extras --build-deps-for wheel \
    --generate-hashes --allow-unsafe --strip-extras --no-header --no-annotate \
    --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options \
    --output-file "$work/all.txt" pyproject.toml
{
    printf '# What .venv holds: every extra of pyproject.toml and its build backend. Written by "make lock".\n'
    sed '/^--/d' "$work/all.txt"
} >constraints/all.txt
printf 'constraints/all.txt: %s packages\n' "$(grep -c '==' constraints/all.txt)"
