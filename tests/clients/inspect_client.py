"""inspect's openai-api provider against `hone serve`: a small evaluation, scored. Usage: inspect_client.py BASE_URL MODEL"""
import os
import sys
import tempfile

from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.scorer import includes
from inspect_ai.solver import generate


def main():
    base_url, model = sys.argv[1], sys.argv[2]
    os.environ["HONE_API_KEY"] = "none"
    os.environ["HONE_BASE_URL"] = base_url + "/v1"
    samples = [Sample(input="What is the capital of France?", target="Paris"),
               Sample(input="What is the capital of Italy?", target="Rome"),
               Sample(input="What is the capital of Japan?", target="Tokyo")]
    with tempfile.TemporaryDirectory() as folder:
        log = eval(Task(dataset=samples, solver=generate(), scorer=includes()), model="openai-api/hone/" + model,
                   log_dir=folder, display="none", max_tokens=30, temperature=0.0, seed=3, logprobs=True, top_logprobs=2,
                   max_retries=0)[0]
        assert log.status == "success", log.error
        right = log.results.scores[0].metrics["accuracy"].value
        for sample in log.samples:
            assert sample.output.choices[0].logprobs.content
    assert right >= 2 / 3, right
    import inspect_ai
    print(f"inspect_ai {inspect_ai.__version__}: an evaluation of {len(samples)} samples, accuracy {right:.2f}")


if __name__ == "__main__":
    main()
