"""Sentence embeddings side by side: sentence-transformers (PyTorch) at its best batch size, and `hone embed`, on the same rows with
the same threads, in turns; in f32, and in bf16 where the processor has its products. hone's time is the whole process, start
and printing included; sentence-transformers' is encode() alone, on a model that is loaded and warm. Also how far the vectors
are apart, and how well a logistic regression and the nearest neighbour do on them.

Usage: embed.py HONE HF_FOLDER TRAIN.jsonl TEST.jsonl THREADS [RUNS]
"""
import json
import os
import subprocess
import sys
import time

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sklearn.linear_model import LogisticRegression

import measure

BATCHES = (8, 16, 32, 64, 128, 256)
WORK = "sentence embeddings"


def read(path):
    with open(path, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return [row["input"] for row in rows], np.array([row["output"] for row in rows])


def has_bf16():
    if os.environ.get("HONE_CPU"):
        return False
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        return any(line.startswith("flags") and "avx512_bf16" in line.split() for line in file)


def vectors_of_hone(program, folder, threads, lines, kind):
    done = subprocess.run([program, "embed", "-m", folder, "-t", str(threads), "--numerics", kind], input=lines, capture_output=True,
                          check=True)
    return done.stdout


def encoder(model, rows):
    """encode() of all rows at the batch size that is the fastest for it, that size, and the speed at each."""
    def embed(batch, some):
        return model.encode(some, batch_size=batch, normalize_embeddings=True, show_progress_bar=False)

    embed(32, rows[:256])
    tried = {batch: measure.rates(len(rows), lambda b=batch: embed(b, rows), 1, 0)[0] for batch in BATCHES}
    best = max(tried, key=tried.get)
    return lambda: embed(best, rows), best, {str(k): round(v, 1) for k, v in tried.items()}


def main():
    if len(sys.argv) not in (6, 7):
        sys.exit(__doc__)
    program, folder, threads = sys.argv[1], sys.argv[2], int(sys.argv[5])
    runs = int(sys.argv[6]) if len(sys.argv) == 7 else 3
    torch.set_num_threads(threads)
    texts, labels = read(sys.argv[3])
    questions, wanted = read(sys.argv[4])
    rows = texts + questions
    lines = "".join(json.dumps({"text": row}) + "\n" for row in rows).encode()

    kinds = {"f32": torch.float32, **({"bf16": torch.bfloat16} if has_bf16() else {})}
    encoders = {kind: encoder(SentenceTransformer(folder, device="cpu", local_files_only=True).to(dtype), rows)
                for kind, dtype in kinds.items()}
    theirs, ours, made, text = ({kind: [] for kind in kinds} for _ in range(4))
    for _ in range(runs):
        for kind in kinds:
            start = time.perf_counter()
            made[kind] = encoders[kind][0]()
            middle = time.perf_counter()
            text[kind] = vectors_of_hone(program, folder, threads, lines, kind)
            theirs[kind].append(len(rows) / (middle - start))
            ours[kind].append(len(rows) / (time.perf_counter() - middle))
    vectors = made["f32"]
    for kind in kinds:
        own = np.array([json.loads(line)["embedding"] for line in text[kind].splitlines()], dtype=np.float32)
        measure.emit(f"sentence-transformers {kind}", f"{WORK}, {kind}", theirs[kind], unit="sentences/s", batch=encoders[kind][1],
                     tried=encoders[kind][2], from_f32=float(np.abs(made[kind].astype(np.float32) - vectors).max()))
        measure.emit(f"hone embed {kind}", f"{WORK}, {kind}", ours[kind], unit="sentences/s", from_f32=float(np.abs(own - vectors).max()))
    known, asked = vectors[:len(texts)], vectors[len(texts):]
    right = np.mean(LogisticRegression(C=10, max_iter=1000).fit(known, labels).predict(asked) == wanted)
    measure.emit("sentence-transformers f32", "embedding + logistic regression", [right], unit="share right", rows=len(wanted), seconds=0)
    nearest = (asked @ known.T).argmax(axis=1)
    measure.emit("sentence-transformers f32", "embedding nearest neighbour", [np.mean(labels[nearest] == wanted)], unit="share right",
                 rows=len(wanted), seconds=0)


main()
