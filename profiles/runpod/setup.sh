#!/usr/bin/env bash
# A new pod, made ready for jobs. Where the image has the pinned environment (images/runpod.Containerfile), that is used.
# Run again, it finds everything there and does nothing. With `engine: {kind: vllm}` it also makes what that needs.
set -euo pipefail
pins=$(cat envs/cpu.txt envs/qlora.txt | sha256sum | cut -c 1-16)
image=/opt/lamarck/.venv
[ -e .venv ] || [ ! -e "$image/pins-$pins" ] || ln -s "$image" .venv
bash profiles/runpod/environment.sh

project=.venv/project-$(pwd | cat - pyproject.toml | sha256sum | cut -c 1-16)
[ -e "$project" ] || uv pip install --quiet --python .venv/bin/python --no-deps --editable .
touch "$project"

[ "${LAMARCK_ENGINE:-}" != vllm ] || bash profiles/runpod/vllm.sh
echo "ready"
