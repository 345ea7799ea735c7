"""PyTorch in f32 through transformers: prefill of 512 tokens (logits of the last), greedy decoding of 128 with its cache.

Usage: torch_speed.py HF_FOLDER THREADS [RUNS]
"""
import sys

import torch
from transformers import AutoModelForCausalLM

import measure

PREFILL, START, DECODE = 512, 8, 128


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    threads, runs = int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) == 4 else 5
    torch.set_num_threads(threads)
    model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32).eval()
    prompt = torch.arange(1000, 1000 + PREFILL)[None]

    with torch.inference_mode():
        measure.emit("PyTorch f32", "prefill", measure.rates(PREFILL, lambda: model(prompt, logits_to_keep=1), runs))
        found = []
        for _ in range(min(runs, 3)):
            state = model(prompt[:, :START], use_cache=True, logits_to_keep=1)

            def decode():
                cache, token = state.past_key_values, state.logits[:, -1].argmax(-1, keepdim=True)
                for _ in range(DECODE):
                    out = model(token, past_key_values=cache, use_cache=True)
                    cache, token = out.past_key_values, out.logits[:, -1].argmax(-1, keepdim=True)

            found += measure.rates(DECODE, decode, 1, 0)
        measure.emit("PyTorch f32", "decode 1", found)


main()
