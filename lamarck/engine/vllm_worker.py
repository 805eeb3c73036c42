"""The other side of lamarck/engine/vllm.py. It runs in vLLM's own environment, which has other versions of what lamarck
needs: so it imports the standard library and vLLM, and nothing else.

JSON lines on standard input, answered on standard output. The first says what to load and is answered with where and by
what it was loaded; every other is one batch, answered with {"done": n} whenever n more prompts are finished and in the
end with {"result": [...]}. Prompts and answers are token ids. What goes wrong ends the process, with the reason on
standard error; the process also ends, with all that vLLM has started, when standard input does.
"""

import json
import logging
import os
import queue
import runpy
import signal
import sys
import threading
import time
from collections.abc import Callable
from itertools import zip_longest
from pathlib import Path
from typing import Any, TextIO, get_args

REASONING = "deepseek_r1"  # vLLM's parser of reasoning that ends at </think>
# What holds texts to a form: the library that the engine hf has, too. vLLM's own choice lets control tokens pass where
# a form takes any character.
HOLDS_FORMS = "guidance"
REFUSED = 3  # the exit code that says that the last line of standard error is all there is to say; as in worker.py
GRACE = 20.0  # seconds that vLLM has to end its processes and free what they share

Request = dict[str, Any]
Reply = Callable[[dict[str, Any]], None]


def main() -> None:
    reply = _claim_output()
    requests = Requests(sys.stdin)
    settings = requests.take()
    if settings is None:
        return
    model = VllmModel(settings)
    reply(model.describe())
    while (request := requests.take()) is not None:
        result = model.score(request, reply) if request["task"] == "score" else model.generate(request, reply)
        reply({"result": result})


def _claim_output() -> Reply:
    """What vLLM and its kernels print goes to standard error: standard output is for replies alone."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def reply(content: dict[str, Any]) -> None:
        replies.write(json.dumps(content) + "\n")
        replies.flush()

    return reply


class Requests:
    """Read beside the work, so that the end of the input is seen in the middle of it."""

    def __init__(self, lines: TextIO) -> None:
        self._queue: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._waited_for = threading.Event()
        threading.Thread(target=self._read, args=(lines,), daemon=True).start()

    def take(self) -> Request | None:
        """The next one; None at the end."""
        self._waited_for.set()
        request = self._queue.get()
        self._waited_for.clear()
        return request

    def _read(self, lines: TextIO) -> None:
        for line in lines:
            self._queue.put(json.loads(line))
        orderly = self._waited_for.is_set()
        self._queue.put(None)
        if orderly:
            time.sleep(GRACE)
        # Who asked is gone in the middle of the work, or vLLM does not end: everything that it started goes too.
        os.killpg(0, signal.SIGKILL)


class VllmModel:
    def __init__(self, settings: Request) -> None:
        from vllm.platforms import current_platform

        if current_platform.is_cpu() and settings["without_gpu"]:
            print(settings["without_gpu"], file=sys.stderr, flush=True)
            # Nothing is started yet; an orderly end closes our output first, and who reads that would have us killed.
            os._exit(REFUSED)
        import torch
        import vllm
        from vllm.lora.request import LoRARequest

        # Without a GPU there are no graphs to capture, and compiling kernels takes longer than they save.
        eager = current_platform.is_cpu()
        torch._dynamo.config.disable = eager
        if eager:
            os.environ["TORCHDYNAMO_DISABLE"] = "1"  # in the processes that it starts, too
        # It tries out the chat template, and says at length that the tokenizer has been left out.
        logging.getLogger("vllm.renderers.base").addFilter(lambda record: "warmup" not in record.msg)
        self._vllm = vllm
        self._device: str = current_platform.device_type
        self._stop: list[int] = settings["stop_token_ids"]
        adapter = settings["adapter"]
        self._adapter = LoRARequest("adapter", 1, adapter["path"]) if adapter else None
        held = {"backend": HOLDS_FORMS} | ({"reasoning_parser": REASONING} if settings["reasons"] else {})
        own = {"structured_outputs_config": held if settings["forms"] else None}
        # Tokens go in and come out: the one that asks has the tokenizer. To hold a text to its form vLLM must know how
        # tokens are spelt.
        arguments = engine_arguments(settings, eager, front=1, at_least=settings["batch_size"])
        self._llm = vllm.LLM(skip_tokenizer_init=not settings["forms"], **own, **arguments)

    def describe(self) -> dict[str, Any]:
        length = self._llm.llm_engine.model_config.max_model_len
        return {"device": self._device, "version": self._vllm.__version__, "max_length": length}

    def generate(self, request: Request, reply: Reply) -> list[list[int]]:
        """The tokens of each answer, without the one that ends it."""
        settings = {
            "max_tokens": request["max_new_tokens"],
            "temperature": request["temperature"],
            "top_p": request["top_p"],
            "stop_token_ids": self._stop,
            "detokenize": False,
        }
        sampling = [
            self._vllm.SamplingParams(**settings, seed=seed, structured_outputs=_held_to(form))
            for seed, form in zip_longest(request["seeds"], request["forms"])
        ]
        outputs = self._run(request["prompts"], sampling, reply)
        answers = [list(output.outputs[0].token_ids) for output in outputs]
        return [answer[:-1] if answer and answer[-1] in self._stop else answer for answer in answers]

    def score(self, request: Request, reply: Reply) -> list[float]:
        """The sum of the log probabilities, in nats, of all tokens of each prompt but the first."""
        # vLLM always writes one token, which nobody reads.
        settings = self._vllm.SamplingParams(max_tokens=1, prompt_logprobs=0, temperature=0, detokenize=False)
        rows: list[list[int]] = request["prompts"]
        outputs = self._run(rows, [settings] * len(rows), reply)
        return [
            sum(given[token].logprob for given, token in zip(output.prompt_logprobs[1:], row[1:], strict=True))
            for output, row in zip(outputs, rows, strict=True)
        ]

    def _run(self, prompts: list[list[int]], settings: list[Any], reply: Reply) -> list[Any]:
        # A cache left by earlier batches changes how this one is cut into steps, and so the rounding of its sums: then
        # the same batch with the same seeds could be answered otherwise.
        self._llm.reset_prefix_cache()
        tokens = [{"prompt_token_ids": prompt} for prompt in prompts]
        self._llm.enqueue(tokens, settings, lora_request=self._adapter, use_tqdm=False)
        engine, outputs = self._llm.llm_engine, []
        while engine.has_unfinished_requests():
            finished = [output for output in engine.step() if output.finished]
            if finished:
                reply({"done": len(finished)})
            outputs += finished
        return sorted(outputs, key=lambda output: int(output.request_id))


def _held_to(form: str | None) -> Any:
    from vllm.sampling_params import StructuredOutputsParams

    return None if form is None else StructuredOutputsParams(regex=form)


def engine_arguments(settings: Request, on_cpu: bool, front: int, at_least: int) -> dict[str, Any]:
    """How vLLM is to hold the model, in the words of its EngineArgs; lamarck/serve/vllm_server.py asks for the same.

    `front`: processes beside the workers. `at_least`: texts of any length that must fit side by side, on a CPU. Where
    they do not fit the process ends.
    """
    adapter = settings["adapter"]
    arguments = {
        "model": settings["weights"],
        "load_format": "safetensors",
        "use_tqdm_on_load": False,
        "dtype": settings["dtype"],
        "quantization": settings["quantization"],
        "tensor_parallel_size": settings["tensor_parallel"],
        "max_model_len": settings["max_length"],
        "max_num_seqs": settings["batch_size"],
        "enable_prefix_caching": True,
        "enforce_eager": on_cpu,
        **(_room_for(adapter) if adapter else {}),
    }
    if not on_cpu:
        return arguments | {"gpu_memory_utilization": settings["memory_share"]}
    # By its path: this process is isolated, and finds no module of ours.
    memory = runpy.run_path(str(Path(__file__).with_name("vllm_memory.py")))
    return arguments | {"kv_cache_memory_bytes": memory["cache_or_exit"](arguments, adapter, front, at_least)}


def _room_for(adapter: dict[str, Any]) -> dict[str, Any]:
    """vLLM has room for adapters of certain ranks, and pads smaller ones with zeros.

    Only on the layers that have one: left to itself it also puts one on the head, and there, without a GPU, it cannot
    score prompts.
    """
    from vllm.config.lora import MaxLoRARanks

    ranks = [rank for rank in get_args(MaxLoRARanks) if rank >= adapter["rank"]]
    if not ranks:
        raise ValueError(
            f"the adapter has rank {adapter['rank']}, and vLLM takes none above {max(get_args(MaxLoRARanks))}"
        )
    return {"enable_lora": True, "max_lora_rank": min(ranks), "lora_target_modules": adapter["layers"]}


if __name__ == "__main__":
    main()
