#!/bin/sh
# Fetch whom `make detection` compares with, and its clean files: get_detectors.sh UV PYTHON FOLDER. Who cannot be had is named.
set -eu
uv=$1 python=$2 folder=$3
mkdir -p "$folder/node"
data=${GLOSSATOR_TEST_DATA:-../shared/data}/secrets/clean_py_manifest.json
"$uv" venv --quiet --allow-existing --python "$python" "$folder/python"
"$uv" export --quiet --frozen --no-hashes --only-group bench-detection --output-file "$folder/locked.txt" >/dev/null
"$uv" pip install --quiet --python "$folder/python" --requirement "$folder/locked.txt" ||
    echo "detection: detect-secrets could not be had, so it is not compared with" >&2
if command -v npm >/dev/null 2>&1; then
    (cd "$folder/node" && npm install --silent --no-audit --no-fund --ignore-scripts secretlint@13 @secretlint/secretlint-rule-preset-recommend@13) ||
        echo "detection: secretlint could not be had, so it is not compared with" >&2
    echo '{"rules": [{"id": "@secretlint/secretlint-rule-preset-recommend"}]}' >"$folder/node/.secretlintrc.json"
fi
if [ -e "$data" ] && [ ! -d "$folder/clean" ]; then
    "$python" -c 'import json, sys
print("\n".join(sorted({"==".join(one["wheel"].split("-")[:2]) for one in json.load(open(sys.argv[1]))})))' "$data" >"$folder/clean.txt"
    "$uv" pip install --quiet --python "$python" --no-deps --only-binary :all: --python-version 3.11 --target "$folder/clean" --requirement "$folder/clean.txt" ||
        echo "detection: the clean files could not be had, so alarms on them are not counted" >&2
fi
