"""Greedy text of a GGUF model, with or without an adapter, in hone and in llama.cpp: how many prompts give the same.

Usage: same_text.py HONE MODEL.gguf [--adapter FOLDER ADAPTER.gguf] [--reference MODEL --reference-adapter FOLDER]

--adapter: the adapter as hone trained it, and as `hone model export --to gguf-lora` wrote it for llama.cpp.
--reference: hone computes with this model (and adapter) instead, to compare a merged file with what it was merged from.

llama.cpp keeps keys and values as float32 here and rounds activations only as its kernels for the weights' type do: to
16 bits for F16 weights, to 8 bits for quantised ones, not at all for F32.
"""
import argparse
import json
import subprocess
import sys

from llama_cpp import Llama

PROMPTS = ["What is the capital of France?", "My card was charged twice, what can I do?", "Write a line about rain.",
           "I want to change my address.", "How do I reset my PIN?", "Name three colours.",
           "The transfer to my friend has not arrived.", "Explain what a loan is in one sentence."]
TOKENS = 32
TEMPLATE = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"


def ask_hone(args):
    command = [args.hone, "run", "-m", args.reference or args.model, "--jsonl", "--raw", "-n", str(TOKENS)]
    adapter = args.reference_adapter or (args.adapter[0] if args.adapter else None)
    if adapter:
        command += ["--adapter", adapter]
    lines = "".join(json.dumps({"prompt": TEMPLATE.format(p)}) + "\n" for p in PROMPTS)
    out = subprocess.run(command, input=lines, capture_output=True, text=True)
    if out.returncode:
        sys.exit(out.stderr)
    return [json.loads(line)["text"] for line in out.stdout.splitlines()]


def ask_llama(args):
    model = Llama(args.model, n_ctx=512, n_threads=2, verbose=False, type_k=0, type_v=0,
                  lora_path=args.adapter[1] if args.adapter else None)
    texts = []
    for prompt in PROMPTS:
        ids = model.tokenize(TEMPLATE.format(prompt).encode(), add_bos=False, special=True)
        model.reset()
        answer = []
        for token in model.generate(ids, temp=0.0, top_k=1, repeat_penalty=1.0):
            if token == model.token_eos() or len(answer) == TOKENS:
                break
            answer.append(token)
        texts.append(model.detokenize(answer).decode(errors="replace"))
    return texts


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hone")
    parser.add_argument("model")
    parser.add_argument("--adapter", nargs=2)
    parser.add_argument("--reference")
    parser.add_argument("--reference-adapter")
    args = parser.parse_args()
    ours, theirs = ask_hone(args), ask_llama(args)
    same = 0
    for prompt, a, b in zip(PROMPTS, ours, theirs):
        same += a.strip() == b.strip()
        if a.strip() != b.strip():
            print(f"{prompt}\n  hone      {a!r}\n  llama.cpp {b!r}")
    print(f"{same} of {len(PROMPTS)} prompts give the same {TOKENS} tokens of text")


main()
