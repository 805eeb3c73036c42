#!/usr/bin/env bash
# The pinned environment in ./.venv, byte-compiled. Run again, it finds everything there and does nothing.
set -euo pipefail
pins=$(cat envs/cpu.txt envs/qlora.txt | sha256sum | cut -c 1-16)
[ -e ".venv/pins-$pins" ] && exit 0

echo "1/4 bubblewrap, the sandbox of model-written code"
command -v bwrap >/dev/null \
  || { apt-get update -qq && apt-get install -qq --yes --no-install-recommends bubblewrap >/dev/null; }
echo "2/4 uv"
command -v uv >/dev/null || python3 -m pip install --quiet --break-system-packages uv==0.13.8
echo "3/4 Python 3.11"
[ -x .venv/bin/python ] || uv venv --quiet --python 3.11 .venv
echo "4/4 packages"
uv pip install --quiet --python .venv/bin/python --compile-bytecode --requirement envs/cpu.txt --requirement envs/qlora.txt
touch ".venv/pins-$pins"
