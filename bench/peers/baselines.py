"""scikit-learn's label baselines: TF-IDF with logistic regression, and the nearest neighbour.

Usage: baselines.py TRAIN.jsonl TEST.jsonl
"""
import json
import sys
import time

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

import measure


def read(path):
    with open(path, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return [row["input"] for row in rows], np.array([row["output"] for row in rows])


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    texts, labels = read(sys.argv[1])
    questions, wanted = read(sys.argv[2])
    start = time.perf_counter()
    vectors = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    known, asked = vectors.fit_transform(texts), vectors.transform(questions)
    right = np.mean(LogisticRegression(C=10, max_iter=300).fit(known, labels).predict(asked) == wanted)
    measure.emit("scikit-learn", "TF-IDF + logistic regression", [right], unit="share right", rows=len(wanted),
                 seconds=time.perf_counter() - start)
    start = time.perf_counter()
    nearest = np.asarray((asked @ known.T).argmax(axis=1)).ravel()
    measure.emit("scikit-learn", "nearest neighbour", [np.mean(labels[nearest] == wanted)], unit="share right", rows=len(wanted),
                 seconds=time.perf_counter() - start)


main()
