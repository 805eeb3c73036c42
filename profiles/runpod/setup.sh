#!/usr/bin/env bash
# A new pod's environment, from the pinned files: run again, it finds everything there and does nothing.
# `setup.sh vllm` also makes the one that `engine: {kind: vllm}` needs.
set -euo pipefail

# environment DIRECTORY REQUIREMENTS... [--editable .]
environment() {
  local directory=$1 ready
  shift
  ready=$directory/ready-$(cat pyproject.toml envs/*.txt | sha256sum | cut -c 1-16)
  [ -e "$ready" ] && return
  command -v uv >/dev/null || python3 -m pip install --quiet --break-system-packages uv==0.13.8
  [ -x "$directory/bin/python" ] || uv venv --quiet --python 3.11 "$directory"
  uv pip install --quiet --python "$directory/bin/python" --compile-bytecode "$@"
  touch "$ready"
}

echo "packages"
environment .venv --requirement envs/cpu.txt --requirement envs/qlora.txt --editable .
if [ "${1:-}" = vllm ]; then
  echo "vLLM's packages"
  environment .venv-vllm --requirement envs/vllm-cuda.txt
fi
echo "ready"
