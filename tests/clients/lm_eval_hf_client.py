"""lm-eval twice on the same multiple-choice items: through `hone serve` and through its own `--model hf` (transformers, f32) on
a Hugging Face folder that holds the same weights (bench/peers/to_hf.py makes it of a GGUF file). The log-likelihoods must agree
item by item, and so must the accuracy.

Usage: lm_eval_hf_client.py BASE_URL MODEL HF_FOLDER DATA.jsonl N_ITEMS [THREADS]
"""
import sys

import lm_eval
import torch

import lm_eval_client


def main():
    base_url, model, folder, data, n_items = sys.argv[1:6]
    torch.set_num_threads(int(sys.argv[6]) if len(sys.argv) > 6 else 2)
    accuracy, items = lm_eval_client.evaluate_server(base_url, model, data, n_items)
    theirs, by_hf = lm_eval_client.evaluate("hf", {"pretrained": folder, "device": "cpu", "dtype": "float32", "batch_size": 8}, data,
                                            n_items)
    assert len(items) == len(by_hf), (len(items), len(by_hf))
    worst = 0.0
    for (context, choice, ours), (context_hf, choice_hf, other) in zip(items, by_hf):
        assert (context, choice) == (context_hf, choice_hf)
        worst = max(worst, abs(ours - other))
        assert abs(ours - other) <= lm_eval_client.TOLERANCE, f"{context!r} {choice!r}: {ours} by hone, {other} by transformers"
    assert accuracy == theirs, (accuracy, theirs)
    print(f"lm_eval {lm_eval.__version__}: {len(items)} log-likelihoods of {n_items} items through the server and through hf, accuracy "
          f"{accuracy:.3f} both; the greatest difference is {worst:.1e} nats")


if __name__ == "__main__":
    main()
