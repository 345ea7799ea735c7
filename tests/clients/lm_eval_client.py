"""lm-eval's local-completions against `hone serve`: a multiple-choice task from a local file, and its log-likelihoods item
by item against `hone score` on the same tokens.

Usage: lm_eval_client.py BASE_URL MODEL HONE_PROGRAM MODEL_FILE DATA.jsonl N_ITEMS [OUT.jsonl]
DATA: lines {"context","choices","answer"}. OUT gets a line {"context","choice","logprob"} for each log-likelihood, to be
compared with those of another run."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")

import lm_eval
import lm_eval.tasks
import requests

TOLERANCE = 1e-3  # nats


def tokenize(session, base_url, text):
    return session.post(base_url + "/tokenize", json={"prompt": text, "add_special_tokens": False}).json()["tokens"]


def pair_of(session, base_url, context, continuation):
    """As lm-eval makes tokens of a pair: trailing spaces of the context go to the continuation."""
    n_spaces = len(context) - len(context.rstrip())
    if n_spaces > 0:
        continuation = context[-n_spaces:] + continuation
        context = context[:-n_spaces]
    return tokenize(session, base_url, context + continuation), len(tokenize(session, base_url, context))


def score_by_hone(hone, model_file, pairs):
    lines = "".join(json.dumps({"ids": ids}) + "\n" for ids, _ in pairs)
    result = subprocess.run([hone, "score", "-m", model_file], input=lines, capture_output=True, text=True, check=True)
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    return [sum(answer["logprobs"][n_context:]) for answer, (_, n_context) in zip(answers, pairs)]


def evaluate(model, model_args, data, n_items):
    """lm-eval's results for the first n_items of DATA, and (context, choice, log-likelihood) for each choice."""
    here = pathlib.Path(__file__).parent
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HF_DATASETS_CACHE"] = folder
        task = (here / "lm_eval_task" / "hone_arc_easy.yaml").read_text().replace("DATA_FILE", os.path.abspath(data))
        pathlib.Path(folder, "hone_arc_easy.yaml").write_text(task)
        results = lm_eval.simple_evaluate(
            model=model, model_args=model_args, tasks=["hone_arc_easy"],
            task_manager=lm_eval.tasks.TaskManager(include_path=folder, include_defaults=False),
            limit=int(n_items), log_samples=True, bootstrap_iters=0)
    items = []
    for sample in results["samples"]["hone_arc_easy"]:
        arguments = sample["arguments"]
        arguments = list(arguments.values()) if isinstance(arguments, dict) else arguments
        for pair, response in zip(arguments, sample["resps"]):
            pair = list(pair.values()) if isinstance(pair, dict) else pair
            while isinstance(response[0], (list, tuple)):
                response = response[0]
            items.append((pair[0], pair[1], float(response[0])))
    assert len(items) >= 2 * int(n_items), len(items)
    return results["results"]["hone_arc_easy"]["acc,none"], items


def evaluate_server(base_url, model, data, n_items):
    return evaluate("local-completions",
                    {"model": model, "base_url": base_url + "/v1/completions", "num_concurrent": 4, "max_retries": 1,
                     "tokenizer_backend": "remote", "tokenized_requests": True, "batch_size": 8}, data, n_items)


def main():
    base_url, model, hone, model_file, data, n_items = sys.argv[1:7]
    accuracy, items = evaluate_server(base_url, model, data, n_items)
    session = requests.Session()
    pairs = [pair_of(session, base_url, context, choice) for context, choice, _ in items]
    worst = 0.0
    for (context, choice, by_server), by_score in zip(items, score_by_hone(hone, model_file, pairs)):
        difference = abs(by_server - by_score)
        worst = max(worst, difference)
        assert difference <= TOLERANCE, f"{context!r} {choice!r}: {by_server} through the server, {by_score} by score"
    if len(sys.argv) > 7:
        with open(sys.argv[7], "w") as out:
            for context, choice, logprob in items:
                out.write(json.dumps({"context": context, "choice": choice, "logprob": logprob}) + "\n")
    print(f"lm_eval {lm_eval.__version__}: {len(items)} log-likelihoods of {n_items} items, accuracy {accuracy:.3f}; the "
          f"greatest difference from hone score is {worst:.1e} nats")


if __name__ == "__main__":
    main()
