"""A training step with APOLLO, APOLLO-Mini and AdamW, and the bytes of their states, for a Llama-like shape.

    python benchmarks/optimizers.py                 # the shape of SmolLM2-135M, 1,024 tokens a step
    python benchmarks/optimizers.py --layers 4 --tokens 4096

Weights are random: they decide neither time nor bytes. In every round one gradient is computed and each optimizer takes
its step with it, so that the ratios are of the same minute: a training step is the gradient and the optimizer's step.
Seconds are the processor's, on one thread, so that other work on the machine does not count.
"""

import argparse
import statistics
import time

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from lamarck.budget.optimizer_state import optimizer_state, whole_weights
from lamarck.budget.shape import Shape
from lamarck.config.optimizer import AdamWSettings, ApolloMiniSettings, ApolloSettings
from lamarck.train.optimizer import AdamW, build_optimizer, grouped, trained_weights

SMOLLM2_135M = Shape(
    hidden=576,
    layers=30,
    heads=9,
    kv_heads=3,
    head_size=64,
    intermediate=1536,
    vocabulary=49152,
    context=8192,
    tied=True,
)
ROW = 256  # tokens
SETTINGS = {
    "AdamW": AdamWSettings(),
    "APOLLO, rank 256": ApolloSettings(kind="apollo"),
    "APOLLO, rank 64": ApolloSettings(kind="apollo", rank=64),
    "APOLLO-Mini": ApolloMiniSettings(kind="apollo-mini"),
    "APOLLO-Mini, embedding too": ApolloMiniSettings(kind="apollo-mini", projected=("matrices", "head", "embedding")),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("hidden", "layers", "heads", "kv_heads", "intermediate", "vocabulary"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=getattr(SMOLLM2_135M, name))
    parser.add_argument("--tokens", type=int, default=1024, help=f"a step, in rows of {ROW}")
    parser.add_argument("--rounds", type=int, default=4, help="the first of which warms up")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    arguments = vars(parser.parse_args())
    tokens, rounds, dtype = arguments.pop("tokens"), arguments.pop("rounds"), getattr(torch, arguments.pop("dtype"))
    head_size = arguments["hidden"] // arguments["heads"]
    shape = SMOLLM2_135M.model_copy(update=arguments | {"head_size": head_size})
    torch.set_num_threads(1)
    model = model_of(shape).to(dtype)
    print(f"{shape.parameters:,} parameters in {dtype}, {tokens} tokens a step, one thread")
    optimizers = {
        name: build_optimizer(grouped(model), settings, 1e-4, 0.98, 0.0, 0) for name, settings in SETTINGS.items()
    }
    gradients, steps = timed(model, optimizers, shape.vocabulary, tokens, rounds)
    print(f"gradient {statistics.median(gradients):.2f} s\n")
    print(f"{'':28}{'step alone, s':>14}{'training step, x AdamW':>25}{'state, MB':>12}")
    for name, optimizer in optimizers.items():
        ratios = [
            (gradient + own) / (gradient + adamw)
            for gradient, own, adamw in zip(gradients, steps[name], steps["AdamW"], strict=True)
        ]
        spread = f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
        print(f"{name:28}{statistics.median(steps[name]):>14.3f}{spread:>25}{checked_bytes(model, optimizer):>12.2f}")
    print("\nby formula, MB of state by group:")
    for name, settings in SETTINGS.items():
        state = optimizer_state(whole_weights(shape, dtype.itemsize), settings)
        parts = ", ".join(f"{group} {size / 1e6:.2f}" for group, size in state.bytes.items() if size)
        clipped = f"; rank cut for {len(state.clipped)} matrices" if state.clipped else ""
        print(f"  {name}: {state.total / 1e6:.2f} = {parts}{clipped}")


def model_of(shape: Shape) -> LlamaForCausalLM:
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=shape.vocabulary,
            hidden_size=shape.hidden,
            intermediate_size=shape.intermediate,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.kv_heads,
            tie_word_embeddings=shape.tied,
        )
    )


def timed(
    model: LlamaForCausalLM, optimizers: dict[str, AdamW], vocabulary: int, tokens: int, rounds: int
) -> tuple[list[float], dict[str, list[float]]]:
    """Seconds of every round's gradient, and of each optimizer's step with it."""
    gradients: list[float] = []
    steps: dict[str, list[float]] = {name: [] for name in optimizers}
    for number in range(rounds):
        inputs = torch.randint(vocabulary, (tokens // ROW, ROW))
        model.zero_grad()
        started = time.process_time()
        model(input_ids=inputs, labels=inputs, use_cache=False).loss.backward()
        gradients.append(time.process_time() - started)
        for name, optimizer in optimizers.items():
            started = time.process_time()
            optimizer.step()
            steps[name].append(time.process_time() - started)
        if number == 0:
            gradients.clear()
            for seconds in steps.values():
                seconds.clear()
    return gradients, steps


def checked_bytes(model: LlamaForCausalLM, optimizer: AdamW) -> float:
    """MB of state as measured, which must be what the formula says."""
    tensors = [value for state in optimizer.state.values() for value in state.values()]
    measured = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    expected = optimizer_state(trained_weights(grouped(model)), optimizer.settings).total
    if measured != expected:
        raise SystemExit(f"the state takes {measured:,} bytes, and {expected:,} by formula")
    return measured / 1e6


if __name__ == "__main__":
    main()
