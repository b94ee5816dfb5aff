#!/bin/sh
# Put uv into a folder of its own, with nothing but a Python 3.11 or newer: get_uv.sh PYTHON FOLDER
set -eu
python=$1 folder=$2
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "glossator needs Python 3.11 or newer; '$python' is $("$python" --version 2>&1). Try: make PYTHON=python3.12 …" >&2
    exit 1
}
if "$python" -m venv "$folder" 2>/dev/null; then
    "$folder/bin/pip" install --quiet --disable-pip-version-check "uv>=0.9"
elif "$python" -m pip --version >/dev/null 2>&1; then
    # Debian's Python comes without venv; pip alone is enough.
    rm -rf "$folder"
    "$python" -m pip install --quiet --disable-pip-version-check --target "$folder/packages" "uv>=0.9"
    mkdir -p "$folder/bin"
    ln -sf ../packages/bin/uv "$folder/bin/uv"
else
    echo "'$python' has neither venv nor pip; install one of them (Debian: apt-get install python3-venv), or uv itself" >&2
    exit 1
fi
