#!/usr/bin/env bash
# Compile every requirements.in into its lock: exact versions with hashes, no address. Functions and services take the
# versions of requirements-dev.txt, so that what is tested is what ships.
set -euo pipefail
uv=${1:-.tools/bin/uv}
compile() {
  "$uv" pip compile --quiet --no-config --universal --generate-hashes --no-annotate --no-header --no-emit-index-url \
    --no-emit-find-links "$@"
}
compile --python-version 3.11 bundling/uv.in -o bundling/uv.txt
compile --python-version 3.11 bundling/zig.in -o bundling/zig.txt
compile --python-version 3.13 requirements-dev.in -o requirements-dev.txt
compile --python-version 3.11 requirements.in -o requirements.txt
for source in lambda_src/*/requirements.in services/*/requirements.in services/*/builders.in; do
  compile --python-version 3.13 --constraints requirements-dev.txt "$source" -o "${source%.in}.txt"
done
compile --python-version 3.13 tests/hvac_client/requirements.in -o tests/hvac_client/requirements.txt
compile --python-version 3.13 tests/mlflow_client/requirements.in -o tests/mlflow_client/requirements.txt
compile --python-version 3.13 tests/benchmarks/registry/requirements.in -o tests/benchmarks/registry/requirements.txt
