"""One Markdown table of what bench/run measured: hone, llama.cpp by type, PyTorch (with PEFT and TRL).

Usage: table.py FOLDER   (hone.json, hone_bf16.json where the processor has it, hone_task.json where the real task ran, peers.jsonl)
"""
import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
import sys

DECODES = (1, 8, 32, 64)


def load(folder, name):
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file] if name.endswith("l") else json.load(file)


def processor():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def versions():
    names = ("llama-cpp-python", "torch", "transformers", "peft", "trl")
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)


def commit():
    found = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown commit"


def hone_figures(bench, task):
    """{work: figure} in the form of the peers' lines."""
    figures = {"prefill": {"median": bench["prefill_tokens_per_second"],
                           "low": bench["spread"]["prefill"][0], "high": bench["spread"]["prefill"][1]},
               "train step": {"median": bench["train"]["tokens_per_second"], **bench["train"]}}
    for part in bench["batch"]:
        figures[f"decode {part['sequences']}"] = {"median": part["tokens_per_second"], **part}
    if task:
        figures["task"] = {"median": task["tokens_per_second"], "low": task["tokens_per_second"], "high": task["tokens_per_second"]}
    return figures


def cell(figure):
    if not figure:
        return "-"
    median, low, high = figure["median"], figure["low"], figure["high"]
    return f"{median:.0f}" if low == high else f"{median:.0f} ({low:.0f} to {high:.0f})"


def print_table(head, rows):
    rows = [head] + rows
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    rows.insert(1, ["-" * (w - 1) + (":" if i else "-") for i, w in enumerate(widths)])
    for row in rows:
        print("| " + " | ".join(row[i].rjust(widths[i]) if i else row[i].ljust(widths[i]) for i in range(len(head))) + " |")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    bench, task = load(sys.argv[1], "hone.json"), load(sys.argv[1], "hone_task.json")
    peers = load(sys.argv[1], "peers.jsonl") or []
    if bench:
        print_speed(bench, task, peers)
    elif task:
        print_task(task, peers)
    bf16 = load(sys.argv[1], "hone_bf16.json")
    if bf16:
        print()
        print_speed(bf16, None, peers)
    print_side_by_side(peers)


def print_side_by_side(peers):
    """Servers and sentence embeddings: a line for each who, beside hone's figure for the same work."""
    for unit in ("served tokens/s", "sentences/s"):
        lines = [line for line in peers if line["unit"] == unit]
        if not lines:
            continue
        own = {line["work"]: line["median"] for line in lines if line["who"].startswith("hone")}
        print()
        print_table([unit, "work", "median (low to high)", "latency p50, p95 s", "hone / this"],
                    [[line["who"], line["work"], cell(line),
                      f"{line['latency_p50_s']:.2f}, {line['latency_p95_s']:.2f}" if "latency_p50_s" in line else "-",
                      f"{own[line['work']] / line['median']:.2f}" if line["work"] in own else "-"] for line in lines])


REAL_TASK = "Real task: prompt, answer and end of turn of each row, times epochs; hone shares the common prefix, TRL pads."


def print_task(task, peers):
    """Tuning on the real task where nothing else was measured."""
    lines = [(line["who"], line["median"], line["seconds"], line["peak_rss_bytes"]) for line in peers if line["work"] == "task"]
    lines.insert(0, ("hone", task["tokens_per_second"], task["seconds"], task["peak_rss_bytes"]))
    print(f"{processor()}; {datetime.date.today()}; hone {commit()}; {versions()}\n")
    print_table([f"tuning on the real task, {task['tokens']:.0f} tokens", "tokens a second", "seconds", "peak memory, MiB",
                 "hone / this"],
                [[who, f"{rate:.0f}", f"{seconds:.0f}", f"{memory / 2**20:.0f}", f"{lines[0][1] / rate:.2f}"]
                 for who, rate, seconds, memory in lines])
    print(f"\n{REAL_TASK}")


def print_speed(bench, task, peers):
    columns = {"hone": hone_figures(bench, task)}
    memory = {"hone": max(bench["peak_rss_bytes"], task["peak_rss_bytes"] if task else 0)}
    for line in peers:
        if line["unit"] != "tokens/s":
            continue
        column = line["who"] if line["who"].startswith("llama.cpp") else "PyTorch, PEFT, TRL"
        columns.setdefault(column, {})[line["work"]] = line
        memory[column] = max(memory.get(column, 0), line["peak_rss_bytes"])

    threads = f"{bench['threads']} thread" + ("s" if bench["threads"] > 1 else "")
    print(f"{processor()}, {threads}, {bench['isa']}, numerics class "
          f"{bench['numerics_class']}, FMA peak {bench['fma_peak_gflops']:.0f} GFLOP/s"
          f"{', bf16 peak %.0f GFLOP/s' % bench['bf16_peak_gflops'] if 'bf16_peak_gflops' in bench else ''}; "
          f"{datetime.date.today()}; hone {commit()}; {versions()}\n")
    works = [("prefill", "prefill 512")]
    works += [(f"decode {n}", f"decode 128, {n} together" if n > 1 else "decode 128") for n in DECODES]
    works += [("train step", "LoRA step, 16 x 64 tokens, r 16")]
    if task:
        works.append(("task", f"tuning on the real task, {task['tokens']:.0f} tokens"))
    rows = []
    for work, name in works:
        best = max((figures[work]["median"] for who, figures in columns.items() if who != "hone" and work in figures), default=None)
        own = columns["hone"].get(work)
        rows.append([name] + [cell(figures.get(work)) for figures in columns.values()] +
                    [f"{own['median'] / best:.2f}" if own and best else "-"])
    rows.append(["peak memory, MiB"] + [f"{memory[who] / 2**20:.0f}" for who in columns] + ["-"])
    print_table(["tokens a second"] + list(columns) + ["hone / best peer"], rows)
    print("\nMedians, lowest to highest run in brackets. Each peer runs in a process of its own; memory is the largest of its runs.")
    if task:
        print(REAL_TASK)
    for line in peers:
        if line["unit"] == "share right":
            print(f"{line['who']}, {line['work']}: {line['median']:.3f} of {line['rows']} test rows right, {line['seconds']:.1f} s")


main()
