"""OpenAI's own Python client against `hone serve`: models, chat, streaming, completions with log-probabilities, errors,
embeddings. Usage: openai_client.py BASE_URL MODEL [ADAPTER]"""
import sys

import openai


def main():
    base_url, model, adapters = sys.argv[1], sys.argv[2], sys.argv[3:]
    client = openai.OpenAI(base_url=base_url + "/v1", api_key="none", max_retries=0, timeout=120)

    names = {entry.id: entry for entry in client.models.list()}
    assert set(names) == {model, *adapters}, names
    assert client.models.retrieve(model).id == model

    messages = [{"role": "user", "content": "What is the capital of France?"}]
    whole = client.chat.completions.create(model=model, messages=messages, max_tokens=30, temperature=0)
    text = whole.choices[0].message.content
    assert "Paris" in text, text
    assert whole.choices[0].finish_reason == "stop"
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens

    pieces, usage, finish = [], None, None
    for chunk in client.chat.completions.create(model=model, messages=messages, max_tokens=30, temperature=0,
                                                stream=True, stream_options={"include_usage": True}):
        if chunk.choices:
            pieces.append(chunk.choices[0].delta.content or "")
            finish = chunk.choices[0].finish_reason or finish
        usage = chunk.usage or usage
    assert "".join(pieces) == text and finish == "stop", pieces
    assert usage.completion_tokens == whole.usage.completion_tokens

    scored = client.chat.completions.create(model=model, messages=messages, max_tokens=5, temperature=0, logprobs=True,
                                            top_logprobs=3)
    for entry in scored.choices[0].logprobs.content:
        assert len(entry.top_logprobs) == 3 and entry.top_logprobs[0].logprob == entry.logprob

    several = client.completions.create(model=model, prompt=["The sky is", "Once upon a"], max_tokens=8, n=2,
                                        temperature=0.8, seed=7, logprobs=2, stop=["\n"])
    assert [choice.index for choice in several.choices] == [0, 1, 2, 3]
    for choice in several.choices:
        assert len(choice.logprobs.tokens) == len(choice.logprobs.token_logprobs) == len(choice.logprobs.top_logprobs)
        assert "\n" not in choice.text
    streamed = "".join(chunk.choices[0].text for chunk in client.completions.create(
        model=model, prompt="The sky is", max_tokens=8, temperature=0, stream=True))
    again = client.completions.create(model=model, prompt="The sky is", max_tokens=8, temperature=0)
    assert streamed == again.choices[0].text

    for adapter in adapters:
        assert names[adapter].parent == model
        client.chat.completions.create(model=adapter, messages=messages, max_tokens=5)

    try:
        client.chat.completions.create(model="gpt-9", messages=messages)
        raise AssertionError("an unknown model was answered")
    except openai.NotFoundError as error:
        assert error.code == "model_not_found" and model in error.message
    try:
        client.chat.completions.create(model=model, messages=messages, response_format={"type": "json_object"})
        raise AssertionError("a format that cannot be kept was accepted")
    except openai.BadRequestError as error:
        assert error.param == "response_format", error

    vectors = client.embeddings.create(model=model, input=["a cat", "a dog", "a treaty"])
    assert [entry.index for entry in vectors.data] == [0, 1, 2]
    assert abs(sum(x * x for x in vectors.data[0].embedding) - 1) < 1e-4
    print(f"openai {openai.__version__}: models, chat, stream, completions, errors, embeddings")


if __name__ == "__main__":
    main()
