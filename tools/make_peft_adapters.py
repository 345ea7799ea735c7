"""Makes small adapters with PEFT on the test model and records the logits that PEFT computes with them; or records PEFT's
logits for an adapter that hone has written.

Usage: make_peft_adapters.py HF_FOLDER OUT_FOLDER          adapters as PEFT saves them, with logits.json beside each
       make_peft_adapters.py HF_FOLDER --of ADAPTER        JSON with the logits of an existing adapter, on standard output

HF_FOLDER is bench/peers/to_hf.py's copy of the model of tests. Of each position the ten largest logits and the
log-probability of the next token are kept. tests/data/peft_adapters.json is the first form's logits with the recipe by
which tests/unit/test_peft_round_trip.c makes the same adapters; the files are too large to be kept. tests/data/peft_of_hone.json
is the second form's output for the adapter that this test leaves in HONE_KEEP_ADAPTER.

The initial values follow a formula: element i of A is 0.05 sin(0.7 i + k), element i of B is 0.02 cos(0.9 i + k), in PEFT's
row order, for the k-th adapted module in the order of layers, then q, k, v, o, gate, up, down.
"""
import hashlib
import json
import os
import sys

import peft
import torch
from transformers import AutoModelForCausalLM

IDS = [1, 4093, 198, 504, 3575, 282, 4649, 314, 2, 198, 1, 520, 9531, 198, 30821, 2]
ORDER = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
CASES = [
    {"name": "plain", "r": 4, "lora_alpha": 8, "target_modules": ORDER},
    {"name": "rslora", "r": 4, "lora_alpha": 4, "use_rslora": True, "target_modules": ["q_proj", "k_proj", "up_proj"]},
    {"name": "rank_pattern", "r": 2, "lora_alpha": 6, "target_modules": ["q_proj", "v_proj", "down_proj"],
     "rank_pattern": {"down_proj": 4, "layers.3.self_attn.q_proj": 1}, "alpha_pattern": {"v_proj": 3}},
    {"name": "regex", "r": 2, "lora_alpha": 4, "target_modules": r"model\.layers\.(2[0-9])\.self_attn\.[kv]_proj"},
]


def fill(model):
    modules = {name: m for name, m in model.named_modules() if hasattr(m, "lora_A") and len(m.lora_A)}
    key = lambda name: (int(name.split("layers.")[1].split(".")[0]), ORDER.index(name.split(".")[-1]))
    for k, name in enumerate(sorted(modules, key=key)):
        for factor, scale, step, wave in ((modules[name].lora_A, 0.05, 0.7, torch.sin),
                                          (modules[name].lora_B, 0.02, 0.9, torch.cos)):
            w = factor["default"].weight
            i = torch.arange(w.numel(), dtype=torch.float64)
            w.data = (scale * wave(step * i + k)).to(torch.float32).reshape(w.shape)


def record(model):
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([IDS])).logits[0].double()
    top = logits.topk(10, dim=-1)
    logprobs = torch.log_softmax(logits, dim=-1)
    return {"top_ids": top.indices.tolist(), "top_logits": [[round(v, 5) for v in row] for row in top.values.tolist()],
            "logprobs": [round(float(logprobs[i, IDS[i + 1]]), 6) for i in range(len(IDS) - 1)]}


def main():
    if len(sys.argv) not in (3, 4) or (len(sys.argv) == 4 and sys.argv[2] != "--of"):
        sys.exit(__doc__)
    torch.set_num_threads(1)
    base = lambda: AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32)
    source = f"PEFT {peft.__version__}, torch {torch.__version__}, CPU, float32; tools/make_peft_adapters.py"
    if len(sys.argv) == 4:
        model = peft.PeftModel.from_pretrained(base(), sys.argv[3]).eval()
        with open(os.path.join(sys.argv[3], "adapter_model.safetensors"), "rb") as f:
            digest = hashlib.sha256(f.read()).hexdigest()
        json.dump({"source": source, "safetensors_sha256": digest, "ids": IDS, **record(model)}, sys.stdout)
        print()
        return
    cases = []
    for case in CASES:
        model = peft.get_peft_model(base(), peft.LoraConfig(task_type="CAUSAL_LM",
                                                            **{k: v for k, v in case.items() if k != "name"})).eval()
        fill(model)
        folder = os.path.join(sys.argv[2], case["name"])
        model.save_pretrained(folder)
        with open(os.path.join(folder, "adapter_config.json")) as f:
            config = json.load(f)
        keep = ["r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern", "target_modules"]
        cases.append({"name": case["name"], "config": {k: config[k] for k in keep}, **record(model)})
    with open(os.path.join(sys.argv[2], "peft_adapters.json"), "w") as f:
        json.dump({"source": source, "ids": IDS, "cases": cases}, f)
        f.write("\n")


main()
