"""TRL's SFTTrainer on rows of a real task, as its users run it: LoRA r 16 on all linear layers, batch 16, loss on the answer.

Tokens are counted as hone counts them: prompt, answer and end of turn of each row, no padding, times epochs.
Rows of more than 256 tokens go four at a time with accumulation to 16: sixteen of 600 tokens at once take more than 22 GB.
With TEST.jsonl the tuned model then answers its rows greedily, and the share of exact answers is reported.
Usage: trl_task.py HF_FOLDER TRAIN.jsonl SYSTEM_TEXT THREADS EPOCHS [TEST.jsonl PREDICTIONS.json]
"""
import json
import math
import sys
import tempfile
import time

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig, SFTTrainer

import measure

BATCH, LONG, RATE, RANK, END = 16, 256, 1e-3, 16, "<|im_end|>"


def read(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def messages(system, row):
    return [{"role": "system", "content": system}, {"role": "user", "content": row["input"]}]


def prompt_text(tokenizer, system, row):
    return tokenizer.apply_chat_template(messages(system, row), tokenize=False, add_generation_prompt=True)


def count_tokens(tokenizer, system, rows):
    texts = [prompt_text(tokenizer, system, row) + row["output"] + END for row in rows]
    return [len(ids) for ids in tokenizer(texts, add_special_tokens=False)["input_ids"]]


def answer(model, tokenizer, system, rows):
    """Greedy answers, 50 rows at a time."""
    tokenizer.padding_side = "left"
    found = []
    for start in range(0, len(rows), 50):
        texts = [prompt_text(tokenizer, system, row) for row in rows[start:start + 50]]
        inputs = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
        with torch.inference_mode():
            out = model.generate(**inputs, max_new_tokens=20, do_sample=False, pad_token_id=tokenizer.pad_token_id,
                                 eos_token_id=tokenizer.convert_tokens_to_ids(END))
        found += tokenizer.batch_decode(out[:, inputs["input_ids"].shape[1]:], skip_special_tokens=True)
    return [text.strip() for text in found]


def main():
    if len(sys.argv) not in (6, 8):
        sys.exit(__doc__)
    folder, train_path, system, threads, epochs = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), float(sys.argv[5])
    torch.set_num_threads(threads)
    rows = read(train_path)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.eos_token = tokenizer.pad_token = END
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    data = Dataset.from_list([{"prompt": messages(system, row), "completion": [{"role": "assistant", "content": row["output"]}]}
                              for row in rows])
    lengths = count_tokens(tokenizer, system, rows)
    at_once = BATCH if max(lengths) <= LONG else BATCH // 4
    steps = math.ceil(epochs * math.ceil(len(rows) / BATCH))
    with tempfile.TemporaryDirectory() as output:
        settings = SFTConfig(output_dir=output, per_device_train_batch_size=at_once,
                             gradient_accumulation_steps=BATCH // at_once, num_train_epochs=epochs, learning_rate=RATE,
                             lr_scheduler_type="linear", warmup_steps=max(1, steps // 20), max_grad_norm=1.0, weight_decay=0.0,
                             completion_only_loss=True, max_length=2048, gradient_checkpointing=False, bf16=False, fp16=False,
                             use_cpu=True, seed=1, save_strategy="no", logging_strategy="no", report_to=[], disable_tqdm=True)
        trainer = SFTTrainer(model=model, args=settings, train_dataset=data, processing_class=tokenizer,
                             peft_config=LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules="all-linear", task_type="CAUSAL_LM"))
        start = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - start
    tokens = sum(lengths) * epochs
    measure.emit("TRL f32", "task", [tokens / seconds], tokens=tokens, seconds=seconds, rows=len(rows), epochs=epochs)
    if len(sys.argv) == 8:
        test = read(sys.argv[6])
        start = time.perf_counter()
        found = answer(trainer.model.eval(), tokenizer, system, test)
        right = sum(text == row["output"] for text, row in zip(found, test))
        with open(sys.argv[7], "w", encoding="utf-8") as file:
            json.dump(found, file)
        measure.emit("TRL f32", "task accuracy", [right / len(test)], unit="share right", rows=len(test),
                     seconds=time.perf_counter() - start)


main()
