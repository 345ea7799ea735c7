"""Records what PEFT and PyTorch make of LoRA's variants: losses and gradient norms of a few AdamW steps.

Usage: make_lora_variants.py HF_FOLDER > tests/data/lora_variants.json

HF_FOLDER is bench/peers/to_hf.py's copy of the model of tests (weights expanded from the GGUF file, float32). The initial
adapters follow a formula that tests/unit/test_oracle.c repeats: element i of A is 0.05 sin(0.7 i + k), element i of B is
0.02 cos(0.9 i + k), in PEFT's row order, for the k-th adapted module in the order of layers, then q, k, v, o, gate, up, down.
DoRA's magnitudes are its rows' lengths times 1 + 0.1 sin(0.3 i + k).
"""
import json
import math
import sys

import peft
import torch
from transformers import AutoModelForCausalLM

IDS = [1, 4093, 198, 504, 3575, 282, 4649, 314, 2, 198, 1, 520, 9531, 198, 30821, 2]
LEARNED_FROM = 10  # ids from here on are labels
ORDER = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
CASES = [
    {"name": "rsLoRA on all layers", "r": 4, "alpha": 4, "rslora": True, "targets": "all", "rank_of": "", "ratio": 1},
    {"name": "other ranks, some layers", "r": 2, "alpha": 6, "rslora": False, "targets": "q_proj,v_proj,down_proj",
     "rank_of": "down_proj=4;layers.3.self_attn.q_proj=1", "ratio": 1},
    {"name": "a pattern, LoRA+", "r": 2, "alpha": 4, "rslora": False,
     "targets": "model\\.layers\\.(2[0-9])\\.self_attn\\.[kv]_proj", "rank_of": "", "ratio": 8},
    {"name": "DoRA on all layers", "r": 4, "alpha": 8, "rslora": False, "dora": True, "targets": "all", "rank_of": "", "ratio": 1,
     "steps": 3},
    {"name": "DoRA, rsLoRA and LoRA+, some layers", "r": 3, "alpha": 3, "rslora": True, "dora": True,
     "targets": "q_proj,v_proj,down_proj", "rank_of": "", "ratio": 4, "steps": 3},
]
STEPS, RATE = 4, 2e-3


def config(case):
    targets = case["targets"]
    if targets == "all":
        targets = ORDER
    elif "\\" not in targets:
        targets = targets.split(",")
    pattern = dict(entry.split("=") for entry in case["rank_of"].split(";") if entry)
    return peft.LoraConfig(r=case["r"], lora_alpha=case["alpha"], use_rslora=case["rslora"], use_dora=case.get("dora", False),
                           target_modules=targets, rank_pattern={k: int(v) for k, v in pattern.items()}, task_type="CAUSAL_LM")


def fill(model):
    modules = {name: m for name, m in model.named_modules() if hasattr(m, "lora_A") and len(m.lora_A)}
    key = lambda name: (int(name.split("layers.")[1].split(".")[0]), ORDER.index(name.split(".")[-1]))
    for k, name in enumerate(sorted(modules, key=key)):
        for factor, scale, step, wave in ((modules[name].lora_A, 0.05, 0.7, torch.sin), (modules[name].lora_B, 0.02, 0.9, torch.cos)):
            w = factor["default"].weight
            i = torch.arange(w.numel(), dtype=torch.float64)
            w.data = (scale * wave(step * i + k)).to(torch.float32).reshape(w.shape)
        magnitudes = modules[name].lora_magnitude_vector
        if len(magnitudes):
            w = magnitudes["default"].weight
            length = modules[name].base_layer.weight.detach().double().norm(dim=1)
            i = torch.arange(w.numel(), dtype=torch.float64)
            w.data = (length * (1 + 0.1 * torch.sin(0.3 * i + k))).to(w.dtype).reshape(w.shape)
    return len(modules)


def run(folder, case):
    model = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), config(case))
    n = fill(model)
    model.train()  # no dropout anywhere; in evaluation PEFT may keep DoRA's row lengths from one step to the next
    a = [p for name, p in model.named_parameters() if "lora_A" in name]
    # PEFT's own grouping for LoRA+ (optimizers/loraplus.py): B and what has one dimension
    b = [p for name, p in model.named_parameters() if "lora_B" in name or "lora_magnitude" in name]
    optimiser = torch.optim.AdamW([{"params": a, "lr": RATE}, {"params": b, "lr": RATE * case["ratio"]}], weight_decay=0.0)
    ids = torch.tensor([IDS])
    labels = torch.tensor([[-100] * LEARNED_FROM + IDS[LEARNED_FROM:]])
    losses, norms = [], []
    for _ in range(case.get("steps", STEPS)):
        loss = model(input_ids=ids, labels=labels).loss
        optimiser.zero_grad()
        loss.backward()
        losses.append(loss.item())
        norms.append(math.sqrt(sum(float((p.grad.double() ** 2).sum()) for p in a + b)))
        optimiser.step()
    return {**case, "modules": n, "losses": losses, "gradient_norms": norms}


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    torch.set_num_threads(1)
    json.dump({"source": f"PEFT {peft.__version__}, torch {torch.__version__}, CPU, float32; tools/make_lora_variants.py",
               "ids": IDS, "learned_from": LEARNED_FROM, "rate": RATE,
               "cases": [run(sys.argv[1], case) for case in CASES]}, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
