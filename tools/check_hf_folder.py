#!/usr/bin/env python3
"""Has transformers load a Hugging Face folder that hone wrote, and compares it with hone.

usage: check_hf_folder.py FOLDER HONE [MODEL [TOKENS.jsonl]]

FOLDER is loaded by AutoTokenizer and AutoModelForCausalLM in float32. HONE is the program; MODEL what it runs (default:
FOLDER itself). Log-probabilities of a text are compared, and the tokens of the texts in TOKENS.jsonl (lines of
{"model", "text", "parse_special", "ids"}; those of "smollm2" are taken). Exit 1 beyond 1e-4 nats or at a different token.
"""
import json
import subprocess
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

TEXT = "The capital of France is Paris. In 2024, the river Seine was clean enough to swim in, they said."
ALLOWED = 1e-4


def differing_rows(tokenizer, path):
    rows = [json.loads(line) for line in open(path)]
    rows = [r for r in rows if r["model"] == "smollm2"]
    different = [r for r in rows
                 if tokenizer(r["text"], add_special_tokens=False,
                              split_special_tokens=not r["parse_special"])["input_ids"] != r["ids"]]
    print(f"{len(rows)} texts, {len(different)} with other tokens")
    return len(different)


def worst_difference(tokenizer, model, program, name):
    ids = tokenizer(TEXT, add_special_tokens=False)["input_ids"]
    asked = subprocess.run([program, "score", "-m", name], input=json.dumps({"ids": ids}), capture_output=True,
                           text=True, check=True)
    scored = json.loads(asked.stdout)
    with torch.no_grad():
        logprobs = torch.log_softmax(model(torch.tensor([ids])).logits[0], -1)
    differences = [abs(logprobs[i - 1, ids[i]].item() - scored["logprobs"][i]) for i in range(1, len(ids))]
    differences += [abs(logprobs[-1, i].item() - v) for i, v in scored["top"]]
    print(f"log-probabilities at most {max(differences):.1e} nats apart over {len(ids)} tokens")
    return max(differences)


def main():
    folder, program = sys.argv[1], sys.argv[2]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    bad = worst_difference(tokenizer, model, program, sys.argv[3] if len(sys.argv) > 3 else folder) > ALLOWED
    if len(sys.argv) > 4:
        bad |= differing_rows(tokenizer, sys.argv[4]) > 0
    return bad


if __name__ == "__main__":
    sys.exit(main())
