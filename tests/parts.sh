#!/bin/sh
# Fetch what only the tests use; each part that cannot be had is named with its reason, and its tests skip.
set -u
here=$(cd "$(dirname "$0")" && pwd)
if command -v npm >/dev/null 2>&1; then
    if [ ! "$here/node/node_modules/.package-lock.json" -nt "$here/node/package-lock.json" ]; then
        (cd "$here/node" && npm ci --silent --no-audit --no-fund --ignore-scripts) && touch "$here/node/node_modules/.package-lock.json" ||
            echo "skipped: TypeScript and ESLint could not be installed from npm"
    fi
else
    echo "skipped: TypeScript and ESLint need npm, which is not installed"
fi
if [ -e "$here/editors/install.sh" ]; then
    bash "$here/editors/install.sh" || echo "skipped: the real editors could not be installed"
fi
if [ -e "$here/models/install.sh" ]; then
    uv=$(command -v uv || echo "$here/../.tools/bin/uv")
    bash "$here/models/install.sh" "$uv" || echo "skipped: a real Ollama could not be installed"
fi
