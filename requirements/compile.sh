#!/bin/sh
# Pins every package by hash, from what pyproject.toml asks for. Arguments go to uv, for instance --upgrade.
set -eu
cd "$(dirname "$0")/.."
compile() {
    output=$1
    shift
    .dev/tools/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
        --no-header --no-annotate --output-file "requirements/$output.txt" "$@"
}
compile platform pyproject.toml --extra operator --extra api "$@"
compile sidecar requirements/sidecar.in "$@"
compile runtime requirements/runtime.in "$@"
compile dev pyproject.toml --all-extras --group dev "$@"
# Other people's terminals and clients: never in our processes, so for whatever Python they want, and without what they depend on.
.dev/tools/bin/uv pip compile -q --universal --python-version 3.12 --no-deps --generate-hashes --no-emit-index-url --no-header \
    --no-annotate --output-file requirements/peers.txt requirements/peers.in "$@"
compile attacks requirements/attacks.in "$@"
# The guided fuzzer, for `make fuzz` alone.
compile fuzz requirements/fuzz.in "$@"
