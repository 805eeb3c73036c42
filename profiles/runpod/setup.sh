#!/usr/bin/env bash
# A new pod's environment, from the pinned files: run again, it finds everything there and does nothing.
set -euo pipefail
ready=.venv/ready-$(cat envs/cpu.txt envs/qlora.txt pyproject.toml | sha256sum | cut -c 1-16)
[ -e "$ready" ] && exit 0

echo "1/3 uv"
command -v uv >/dev/null || python3 -m pip install --quiet --break-system-packages uv==0.13.8
echo "2/3 Python 3.11"
[ -x .venv/bin/python ] || uv venv --quiet --python 3.11 .venv
echo "3/3 packages"
uv pip install --quiet --python .venv/bin/python --compile-bytecode \
  --requirement envs/cpu.txt --requirement envs/qlora.txt --editable .
touch "$ready"
echo "ready"
