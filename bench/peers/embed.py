"""Sentence embeddings by PyTorch in f32 through transformers, done as sentence-transformers does it: sorted by length, batches
padded to their longest, mean over the tokens, scaled to length 1. Also how well a logistic regression and the nearest
neighbour do on them.

Usage: embed.py HF_FOLDER TRAIN.jsonl TEST.jsonl THREADS [RUNS]
"""
import json
import sys

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from transformers import AutoModel, AutoTokenizer

import measure

BATCHES, LONGEST = (16, 32, 64, 128), 256


def read(path):
    with open(path, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return [row["input"] for row in rows], np.array([row["output"] for row in rows])


def main():
    if len(sys.argv) not in (5, 6):
        sys.exit(__doc__)
    threads, runs = int(sys.argv[4]), int(sys.argv[5]) if len(sys.argv) == 6 else 3
    torch.set_num_threads(threads)
    tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
    model = AutoModel.from_pretrained(sys.argv[1], dtype=torch.float32).eval()

    def embed(texts, batch):
        order = np.argsort([-len(text) for text in texts])
        out = np.empty((len(texts), model.config.hidden_size), dtype=np.float32)
        for start in range(0, len(order), batch):
            part = order[start:start + batch]
            inputs = tokenizer([texts[i] for i in part], padding=True, truncation=True, max_length=LONGEST,
                               return_tensors="pt")
            states = model(**inputs).last_hidden_state
            mask = inputs["attention_mask"][..., None].to(states.dtype)
            mean = (states * mask).sum(1) / mask.sum(1)
            out[part] = torch.nn.functional.normalize(mean, dim=1).numpy()
        return out

    texts, labels = read(sys.argv[2])
    questions, wanted = read(sys.argv[3])
    rows = texts + questions
    with torch.inference_mode():
        embed(rows[:256], 32)
        tried = {batch: measure.rates(len(rows), lambda b=batch: embed(rows, b), 1, 0)[0] for batch in BATCHES}
        best = max(tried, key=tried.get)
        found = measure.rates(len(rows), lambda: embed(rows, best), runs, 0)
        measure.emit("transformers f32", "sentence embeddings", found, unit="sentences/s", batch=best,
                     tried={str(k): round(v, 1) for k, v in tried.items()})
        known, asked = embed(texts, best), embed(questions, best)
    right = np.mean(LogisticRegression(C=10, max_iter=1000).fit(known, labels).predict(asked) == wanted)
    measure.emit("transformers f32", "embedding + logistic regression", [right], unit="share right", rows=len(wanted))
    nearest = (asked @ known.T).argmax(axis=1)
    measure.emit("transformers f32", "embedding nearest neighbour", [np.mean(labels[nearest] == wanted)], unit="share right",
                 rows=len(wanted))


main()
