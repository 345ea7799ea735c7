"""Records what PyTorch and PEFT make of one training step on a very small Gemma 3: loss, logits and every gradient, for full
fine-tuning, LoRA and DoRA, in double precision.

Usage: make_tiny_gemma.py FILE, which is tests/data/tiny_gemma_gradients.safetensors

As make_tiny_gradients.py, whose formulas, token ids and adapters it shares: element i of the t-th tensor is 0.3 sin(0.37 i +
1.7 t); a norm's weight is that too, Gemma multiplying by 1 + weight. Windows of 4 positions in all layers but the second.
"""
import sys

import peft
import torch
from safetensors.torch import save_file
from transformers import Gemma3ForCausalLM, Gemma3TextConfig

from make_lora_variants import ORDER, fill
from make_tiny_gradients import ADAPTERS, step

LAYERS = 3
SIZE = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=LAYERS, num_attention_heads=2, num_key_value_heads=1,
            head_dim=16, vocab_size=48, max_position_embeddings=64, rms_norm_eps=1e-6, query_pre_attn_scalar=16,
            sliding_window=4, tie_word_embeddings=True, attn_implementation="eager", pad_token_id=0,
            layer_types=["sliding_attention", "full_attention", "sliding_attention"],
            rope_parameters={"full_attention": {"rope_type": "default", "rope_theta": 1e6},
                             "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}})
PARTS = ["input_layernorm"] + ["self_attn." + n for n in ORDER[:4] + ["q_norm", "k_norm"]] \
    + ["post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm"] + ["mlp." + n for n in ORDER[4:]]


def base():
    model = Gemma3ForCausalLM(Gemma3TextConfig(**SIZE)).to(torch.float32)
    names = ["model.embed_tokens.weight"] + [f"model.layers.{layer}.{part}.weight" for layer in range(LAYERS) for part in PARTS]
    names.append("model.norm.weight")
    parameters = dict(model.named_parameters())
    assert sorted(names) == sorted(parameters), sorted(parameters)
    for t, name in enumerate(names):
        i = torch.arange(parameters[name].numel(), dtype=torch.float64)
        parameters[name].data = (0.3 * torch.sin(0.37 * i + 1.7 * t)).to(torch.float32).reshape(parameters[name].shape)
    return model


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    torch.set_num_threads(1)
    out = {}
    for kind in ("full", "lora", "dora"):
        model = base()
        if kind != "full":
            model = peft.get_peft_model(model, peft.LoraConfig(target_modules=ORDER, task_type="CAUSAL_LM", **ADAPTERS[kind]))
            fill(model)
        model.double()
        for module in model.modules():  # kept as float32 by the framework: sqrt(32), and frequencies
            if hasattr(module, "embed_scale"):
                module.embed_scale = torch.tensor(SIZE["hidden_size"] ** 0.5, dtype=torch.float64)
        step(model, kind, out)
    save_file(out, sys.argv[1], metadata={"source": f"PEFT {peft.__version__}, torch {torch.__version__}, CPU, float64"})


if __name__ == "__main__":
    main()
