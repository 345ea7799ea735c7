"""Records what PyTorch and PEFT make of one training step on a very small llama: loss, logits and every gradient, for full
fine-tuning, LoRA, rsLoRA and DoRA, in double precision; and PEFT's own files of the DoRA adapter.

Usage: make_tiny_gradients.py FOLDER, which gets tiny_gradients.safetensors and tiny_dora/ (tests/data)

Everything follows formulas that tests/unit/test_methods.c repeats. Element i of the t-th tensor (order of `tensors` below)
is 0.3 sin(0.37 i + 1.7 t), of a norm 1 + that; adapters as in make_lora_variants.py.
"""
import os
import sys

import peft
import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

from make_lora_variants import ORDER, fill

IDS = [[3, 17, 41, 8, 29, 2, 2, 40, 11, 35, 7, 19], [3, 17, 41, 8, 5, 44, 1]]
LEARNED_FROM = [6, 4]
SIZE = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=2, num_key_value_heads=1,
            head_dim=16, vocab_size=48, max_position_embeddings=64, rms_norm_eps=1e-5, rope_theta=10000.0,
            tie_word_embeddings=True)
ADAPTERS = {"lora": dict(r=2, lora_alpha=4), "rslora": dict(r=3, lora_alpha=3, use_rslora=True),
            "dora": dict(r=2, lora_alpha=4, use_dora=True)}


def base():
    model = LlamaForCausalLM(LlamaConfig(**SIZE)).to(torch.float32)
    names = ["model.embed_tokens.weight"]
    for layer in range(SIZE["num_hidden_layers"]):
        parts = ["input_layernorm"] + ["self_attn." + n for n in ORDER[:4]] + ["post_attention_layernorm"] \
            + ["mlp." + n for n in ORDER[4:]]
        names += [f"model.layers.{layer}.{part}.weight" for part in parts]
    names.append("model.norm.weight")
    parameters = dict(model.named_parameters())
    assert sorted(names) == sorted(parameters)
    for t, name in enumerate(names):
        p = parameters[name]
        i = torch.arange(p.numel(), dtype=torch.float64)
        wave = 0.3 * torch.sin(0.37 * i + 1.7 * t)
        p.data = ((1 + wave) if p.dim() == 1 else wave).to(torch.float32).reshape(p.shape)
    return model


def step(model, kind, out):
    """The loss is the mean over the labels of both rows."""
    model.double().train()  # the values are those of float32; only the arithmetic is finer
    total, n = 0, sum(len(ids) - first for ids, first in zip(IDS, LEARNED_FROM))
    for row, (ids, first) in enumerate(zip(IDS, LEARNED_FROM)):
        logits = model(input_ids=torch.tensor([ids])).logits[0]
        out[f"{kind}.logits.{row}"] = logits.detach().float().clone()
        total = total + torch.nn.functional.cross_entropy(logits[first - 1:-1], torch.tensor(ids[first:]), reduction="sum") / n
    total.backward()
    out[f"{kind}.loss"] = total.detach().reshape(1).float().clone()
    for name, p in model.named_parameters():
        if p.requires_grad:
            out[f"{kind}.{name}"] = p.grad.float().clone()


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    torch.set_num_threads(1)
    out = {}
    step(base(), "full", out)
    for kind, settings in ADAPTERS.items():
        model = peft.get_peft_model(base(), peft.LoraConfig(target_modules=ORDER, task_type="CAUSAL_LM", **settings))
        fill(model)
        if kind == "dora":
            model.save_pretrained(os.path.join(sys.argv[1], "tiny_dora"))
        step(model, kind, out)
    save_file(out, os.path.join(sys.argv[1], "tiny_gradients.safetensors"),
              metadata={"source": f"PEFT {peft.__version__}, torch {torch.__version__}, CPU, float64"})


if __name__ == "__main__":
    main()
