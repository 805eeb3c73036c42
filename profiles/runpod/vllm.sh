#!/usr/bin/env bash
# What the engine `vllm` needs on a pod: vLLM's own environment in ./.venv-vllm. Run again, it finds it and does nothing.
set -euo pipefail
pins=.venv-vllm/pins-$(sha256sum <envs/vllm-cuda.txt | cut -c 1-16)
[ -e "$pins" ] && exit 0

echo "vLLM's own environment"
[ -x .venv-vllm/bin/python ] || uv venv --quiet --python 3.11 .venv-vllm
uv pip install --quiet --python .venv-vllm/bin/python --compile-bytecode --requirement envs/vllm-cuda.txt
touch "$pins"
