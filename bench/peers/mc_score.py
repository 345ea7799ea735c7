"""Multiple-choice items that share a 5-shot prefix: which answer is likeliest, by the sum of its tokens' log-probabilities.

Usage: mc_score.py lines DATA.jsonl ITEMS > LINES          the work as lines for `hone score`
       mc_score.py transformers DATA.jsonl ITEMS HF        the same through transformers, one answer at a time (THREADS=2)
       mc_score.py read DATA.jsonl ITEMS SCORES SECONDS    what `hone score` answered, and how long it took
       mc_score.py compare A.json B.json                   two results: the speed of A over B, and how far sums are apart

DATA holds {"context", "choices", "answer"} a line; its last five rows are the demonstrations, the first ITEMS are asked.
A result is one JSON object: items, seconds, items_per_second, share_right, sums. Both sides score the same token ids:
a context and a continuation are tokenised as one text and cut where the context ends.

    mc_score.py lines ../shared/data/gen_arc_easy/test.jsonl 1000 > lines
    time build/release/hone score -m smollm2-135m < lines > scores
"""
import json
import os
import sys
import time

SHOTS = 5


def read_items(path, n):
    with open(path) as file:
        rows = [json.loads(line) for line in file]
    if n + SHOTS > len(rows):
        sys.exit(f"{path} has {len(rows)} rows, {SHOTS} of them demonstrations")

    def ask(row):
        return "Question: " + row["context"] + "\nAnswer:"

    prefix = "".join(ask(row) + " " + row["choices"][row["answer"]] + "\n\n" for row in rows[-SHOTS:])
    return [(prefix + ask(row), [" " + choice for choice in row["choices"]], row["answer"]) for row in rows[:n]]


def report(items, seconds, sums):
    right = sum(max(range(len(s)), key=s.__getitem__) == answer for s, (_, _, answer) in zip(sums, items))
    print(json.dumps({"items": len(items), "seconds": round(seconds, 3), "items_per_second": round(len(items) / seconds, 3),
                      "share_right": round(right / len(items), 4), "sums": sums}))


def run_transformers(items, folder):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    torch.set_num_threads(int(os.environ.get("THREADS", "2")))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    sums = []
    with torch.inference_mode():
        model(torch.tensor([tokenizer(items[0][0])["input_ids"]]))  # warm up
        start = time.perf_counter()
        for context, choices, _ in items:
            n_context = len(tokenizer(context)["input_ids"])
            sums.append([])
            for choice in choices:
                ids = torch.tensor([tokenizer(context + choice)["input_ids"]])
                # logits of the continuation only: transformers' own way to leave out the others
                logits = model(ids, logits_to_keep=ids.shape[1] - n_context + 1).logits[0, :-1]
                logprobs = torch.log_softmax(logits, dim=-1)
                sums[-1].append(float(logprobs.gather(1, ids[0, n_context:, None]).sum()))
    report(items, time.perf_counter() - start, sums)


def read_scores(items, path, seconds):
    with open(path) as file:
        lines = iter([json.loads(line)["sum"] for line in file])
    report(items, seconds, [[next(lines) for _ in choices] for _, choices, _ in items])


def compare(a, b):
    with open(a) as file:
        a = json.load(file)
    with open(b) as file:
        b = json.load(file)
    pairs = [(x, y) for s, t in zip(a["sums"], b["sums"]) for x, y in zip(s, t)]
    print(json.dumps({"times_as_fast": round(a["items_per_second"] / b["items_per_second"], 2),
                      "answers_compared": len(pairs), "largest_difference": max(abs(x - y) for x, y in pairs)}))


def main():
    how = sys.argv[1] if len(sys.argv) > 1 else ""
    if how == "compare" and len(sys.argv) == 4:
        return compare(sys.argv[2], sys.argv[3])
    if {"lines": 4, "transformers": 5, "read": 6}.get(how) != len(sys.argv):
        sys.exit(__doc__)
    items = read_items(sys.argv[2], int(sys.argv[3]))
    if how == "lines":
        for context, choices, _ in items:
            for choice in choices:
                print(json.dumps({"context": context, "continuation": choice}))
    elif how == "transformers":
        run_transformers(items, sys.argv[4])
    else:
        read_scores(items, sys.argv[4], float(sys.argv[5]))


main()
