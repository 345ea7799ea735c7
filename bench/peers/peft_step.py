"""PEFT: LoRA steps of 16 sequences of 64 tokens, rank 16 on all linear layers, every token labelled, AdamW, f32.

Usage: peft_step.py HF_FOLDER THREADS [RUNS]
"""
import sys

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

import measure

SEQUENCES, TOKENS, RANK = 16, 64, 16


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    threads, runs = int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) == 4 else 5
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    base = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32)
    model = get_peft_model(base, LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules="all-linear", task_type="CAUSAL_LM"))
    model.train()
    optimiser = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=1e-4)
    ids = torch.randint(1000, 2000, (SEQUENCES, TOKENS))

    def step():
        model(input_ids=ids, labels=ids).loss.backward()
        optimiser.step()
        optimiser.zero_grad()

    measure.emit("PEFT f32", "train step", measure.rates(SEQUENCES * TOKENS, step, runs))


main()
