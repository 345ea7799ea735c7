"""DSPy against `hone serve`: a classification by demonstrations, as a DSPy program. Usage: dspy_client.py BASE_URL MODEL

DSPy's usual adapter writes fields between markers. Where a small model does not follow them DSPy asks again with
response_format, which the server refuses (it cannot keep it), and DSPy then raises; so the program shows demonstrations,
which the model does follow."""
import sys

import dspy


class Sentiment(dspy.Signature):
    """Say whether the review is positive or negative."""

    review: str = dspy.InputField()
    sentiment: str = dspy.OutputField(desc="positive or negative")


def main():
    base_url, model = sys.argv[1], sys.argv[2]
    lm = dspy.LM("openai/" + model, api_base=base_url + "/v1", api_key="none", temperature=0.0, max_tokens=40,
                 cache=False, num_retries=0)
    dspy.configure(lm=lm)
    plain = lm("What is the capital of France?")
    text = plain[0] if isinstance(plain[0], str) else plain[0]["text"]
    assert "Paris" in text, plain

    program = dspy.Predict(Sentiment)
    program.demos = [
        dspy.Example(review="I loved every minute of it.", sentiment="positive").with_inputs("review"),
        dspy.Example(review="A waste of time and money.", sentiment="negative").with_inputs("review"),
        dspy.Example(review="Wonderful acting, a great story.", sentiment="positive").with_inputs("review"),
        dspy.Example(review="Terrible. I walked out.", sentiment="negative").with_inputs("review"),
    ]
    answers = [program(review=review).sentiment for review in ("A great film, I loved it.", "Terrible and boring.")]
    assert all(answer.strip().lower() in ("positive", "negative") for answer in answers), answers
    print(f"dspy {dspy.__version__}: a language model call and a program with demonstrations, {answers}")


if __name__ == "__main__":
    main()
