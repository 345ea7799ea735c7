#!/usr/bin/env python3
"""Writes tests/data/sampling_cases.json: what the logits processors of transformers make of rows of logits.

Usage: make_sampling_cases.py OUT.json      (needs torch and transformers; the recorded file names their versions)

Each case has logits (in units of 2^-16, so that they are exact), the ids of prompt and answer so far, settings, and the distribution that
transformers samples from: the ids that are left, most likely first, with their probabilities. The processors are applied
in the order of transformers.generation.utils (processors, then warpers). Ties among logits do not occur.
"""
import json
import sys

import torch
import transformers
from transformers.generation.logits_process import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    SequenceBiasLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)

SETTINGS = [
    {"temperature": 1.0},
    {"temperature": 0.7},
    {"temperature": 1.8},
    {"temperature": 1.0, "top_k": 1},
    {"temperature": 1.0, "top_k": 5},
    {"temperature": 1.0, "top_p": 0.1},
    {"temperature": 1.0, "top_p": 0.5},
    {"temperature": 1.0, "top_p": 0.95},
    {"temperature": 1.0, "min_p": 0.02},
    {"temperature": 1.5, "min_p": 0.2},
    {"temperature": 1.0, "typical_p": 0.2},
    {"temperature": 1.0, "typical_p": 0.9},
    {"temperature": 1.0, "repetition_penalty": 1.3},
    {"temperature": 0.8, "repetition_penalty": 0.7},
    {"temperature": 1.0, "logit_bias": {"3": 4.5, "17": -100.0}},
    {"temperature": 0.6, "top_k": 10, "top_p": 0.9},
    {"temperature": 1.4, "top_p": 0.98, "min_p": 0.05},
    {"temperature": 1.2, "top_k": 20, "top_p": 0.97, "min_p": 0.03, "typical_p": 0.8, "repetition_penalty": 1.1,
     "logit_bias": {"0": -2.0, "5": 1.5, "31": 2.25}},
]


def processors(s):
    chain = LogitsProcessorList()
    if "logit_bias" in s:
        chain.append(SequenceBiasLogitsProcessor({(int(i),): v for i, v in s["logit_bias"].items()}))
    if "repetition_penalty" in s:
        chain.append(RepetitionPenaltyLogitsProcessor(s["repetition_penalty"]))
    if s["temperature"] != 1.0:
        chain.append(TemperatureLogitsWarper(s["temperature"]))
    if "top_k" in s:
        chain.append(TopKLogitsWarper(s["top_k"]))
    if "top_p" in s:
        chain.append(TopPLogitsWarper(s["top_p"]))
    if "min_p" in s:
        chain.append(MinPLogitsWarper(s["min_p"]))
    if "typical_p" in s:
        chain.append(TypicalLogitsWarper(s["typical_p"]))
    return chain


def main():
    generator = torch.Generator().manual_seed(20240717)
    cases = []
    for number, settings in enumerate(SETTINGS * 3):
        n_vocab = (40, 97, 200)[number % 3]
        spread = (1.0, 3.0, 6.0)[number // len(SETTINGS)]
        units = torch.round(torch.randn(1, n_vocab, generator=generator) * spread * 65536)
        assert units.unique().numel() == n_vocab
        logits = units / 65536
        ids = torch.randint(0, 40, (1, 12), generator=generator)
        out = processors(settings)(ids, logits.clone())
        p = torch.softmax(out.double(), dim=-1)[0]
        kept = [i for i in torch.argsort(out[0], descending=True).tolist() if out[0, i] > -float("inf")]
        if len(kept) == n_vocab:
            kept = kept[:25]  # enough to compare; the rest is known by their sum
        cases.append({
            "settings": settings,
            "prompt": ids[0, :7].tolist(),
            "answer": ids[0, 7:].tolist(),
            "logits": [int(v) for v in units[0]],
            "n_kept": int((out[0] > -float("inf")).sum()),
            "ids": kept,
            "p": [float(p[i]) for i in kept],
        })
    document = {"source": f"transformers {transformers.__version__}, torch {torch.__version__}, "
                          "tools/make_sampling_cases.py", "cases": cases}
    with open(sys.argv[1], "w", encoding="utf-8") as f:
        json.dump(document, f, separators=(",", ":"))
        f.write("\n")


main()
