"""One Markdown table of what bench/train measured.

Usage: train_table.py FOLDER   (hone.json, hone_TASK.json, peers.jsonl; what is not there is left out)
"""
import json
import os
import sys

TASKS = ("bank_intents", "bitext_support")


def load(path):
    if not os.path.exists(path) or not os.path.getsize(path):  # not measured, or stopped
        return None
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file] if path.endswith("l") else json.load(file)


def line(work, own, own_memory, peer, aim):
    rate = f"{peer['median']:.0f}" if peer else "-"
    times = f"{own / peer['median']:.2f}" if peer else "-"
    memory = f"{peer['peak_rss_bytes'] / 2**20:.0f}" if peer else "-"
    print(f"| {work} | {own:.0f} | {rate} | {times} | {aim} | {own_memory / 2**20:.0f} | {memory} |")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = sys.argv[1]
    bench, peers = load(f"{folder}/hone.json"), load(f"{folder}/peers.jsonl") or []
    steps = [p for p in peers if p["work"] == "train step"]
    tuned = [p for p in peers if p["work"] == "task"]
    if bench:
        print(f"{bench['isa']}, {bench['threads']} threads, FMA peak {bench['fma_peak_gflops']:.0f} GFLOP/s\n")
    print("| work | hone, tokens/s | peer, tokens/s | times | aim | hone, MiB | peer, MiB |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    if bench:
        line("equal work, 16 x 64 tokens, PEFT", bench["train"]["tokens_per_second"], bench["peak_rss_bytes"],
             steps[0] if steps else None, "1.4")
    for task in TASKS:
        own = load(f"{folder}/hone_{task}.json")
        if not own:
            continue
        own_rows = sum(1 for _ in open(f"{folder}/{task}.jsonl", encoding="utf-8"))
        trl_rows = sum(1 for _ in open(f"{folder}/{task}.trl.jsonl", encoding="utf-8"))
        peer = next((p for p in tuned if p.get("rows") == trl_rows), None)
        if peer:
            tuned.remove(peer)
        line(f"{task}, {own_rows} rows, TRL {trl_rows}", own["tokens_per_second"], own["peak_rss_bytes"], peer,
             {"bank_intents": "6", "bitext_support": "4"}[task])
        print(f"{task}: hone {own['tokens']} real tokens in {own['seconds']:.1f} s, "
              f"{own.get('rows_saved_by_sharing', 0):.0%} of the rows not computed", file=sys.stderr)


main()
