"""Writes a GGUF model as a Hugging Face folder with f32 weights, which PEFT and TRL can train.

Usage: to_hf.py MODEL.gguf FOLDER
"""
import os
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    folder, name = os.path.split(os.path.abspath(sys.argv[1]))
    target = sys.argv[2]
    read = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)
    # The model as read is marked as quantised, which trainers refuse; a fresh one with the same weights is not.
    config = read.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    plain = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    plain.load_state_dict(read.state_dict())
    plain.tie_weights()
    plain.generation_config = read.generation_config
    plain.save_pretrained(target)
    AutoTokenizer.from_pretrained(folder, gguf_file=name).save_pretrained(target)


main()
