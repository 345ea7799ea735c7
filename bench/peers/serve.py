"""Servers side by side: 16 chats at once that share a system prompt of 300 tokens, 64 tokens answered each, greedy.

hone serve, llama-cpp-python's server in the best of its settings (it works on one request at a time), and llama.cpp's own
server with a slot for each chat (from the package xllamacpp, whose build uses AVX2). Each is started, warmed up by a few chats that do not count, and measured by
rounds of two kinds: `new prompt`, whose system prompt the server has not seen before, and `known prompt`, whose system
prompt was that of the round before, with other questions. A figure is generated tokens by the wall time of the round;
latency is a request's, from sending to its whole answer.

Usage: serve.py HONE THREADS ROUNDS TYPE=MODEL.gguf [TYPE=MODEL.gguf ...]    (hone serves the first model)
ONLY=hone|llama-cpp-python|llama-server: one server alone.
"""
import http.client
import itertools
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import measure

CHATS, TOKENS, CHATS_TO_CHOOSE = 16, 64, 4
SYSTEM = """You are the assistant of a regional bank and help customers of branch number {number}. Answer in full sentences, politely \
and to the point, and never invent facts about an account that the customer has not told you. When a customer asks about \
fees, say first which account the question is about, then which fee applies, then how it can be avoided. When a card was \
lost or stolen, tell the customer to block it at once in the application or by telephone, explain that a new card arrives \
within five working days. Transfers within the country arrive on the next working day, transfers abroad take up to four days \
and cost a fee that depends on the country and on the amount. Standing orders can be changed until the evening before they \
are due. Passwords and confirmation codes are never asked for, neither by letter nor by telephone, and a customer who was \
asked for one should be told that this was an attempt at fraud. If a question has nothing to do with banking, you may still \
answer it, at length and with imagination, as long as the answer is suitable for readers of every age. Do not use lists or \
headings. Do not repeat the question. Write as if you were speaking to a friend who has all the time in the world and likes \
a good story. If you are not sure that you understood what the customer wants, ask one question back, no more, and wait for \
the answer before you go on."""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    def __init__(self, command, ready, environment=None):
        self.port = free_port()
        self.log = tempfile.TemporaryFile()
        command = [str(self.port) if part == "PORT" else part for part in command]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, env={**os.environ, **(environment or {})})
        for _ in range(600):
            if self.process.poll() is not None:
                break
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
                connection.request("GET", ready)
                if connection.getresponse().status == 200:
                    return
            except OSError:
                pass
            time.sleep(0.1)
        self.log.seek(0)
        message = self.log.read()[-800:].decode(errors="replace")
        self.stop()
        raise RuntimeError(f"{command[0]} did not start: {message}")

    def peak_bytes(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def ask(port, system, question):
    """Seconds, generated tokens and prompt tokens of one chat."""
    body = json.dumps({"model": "model", "messages": [{"role": "system", "content": system}, {"role": "user", "content": question}],
                       "max_tokens": TOKENS, "temperature": 0, "seed": 1})
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    start = time.perf_counter()
    connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    text = answer.read()
    seconds = time.perf_counter() - start
    if answer.status != 200:
        raise RuntimeError(f"status {answer.status}: {text[:300]!r}")
    usage = json.loads(text)["usage"]
    return seconds, usage["completion_tokens"], usage["prompt_tokens"]


def chats(port, system_number, first_question, n=CHATS):
    """n chats at once: (tokens a second, latencies, tokens of a prompt)."""
    found, failures = [], []

    def one(i):
        try:
            found.append(ask(port, SYSTEM.format(number=system_number), f"Tell me a story about the number {first_question + i}."))
        except (OSError, RuntimeError, http.client.HTTPException, KeyError) as error:
            failures.append(error)

    threads = [threading.Thread(target=one, args=(i,)) for i in range(n)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - start
    if failures:
        raise failures[0]
    return sum(f[1] for f in found) / seconds, [f[0] for f in found], found[0][2]


def rounds(server, n):
    """Figures of the two kinds of rounds."""
    fresh = itertools.count(1000, 1000)
    chats(server.port, 100, next(fresh), CHATS_TO_CHOOSE)
    out = {"new prompt": ([], []), "known prompt": ([], [])}
    for number in range(n):
        for kind in out:
            rate, latencies, _ = chats(server.port, 200 + number, next(fresh))
            out[kind][0].append(rate)
            out[kind][1].extend(latencies)
    return out


def report(who, server, found, **more):
    for kind, (values, latencies) in found.items():
        latencies.sort()
        measure.emit(who, f"{CHATS} chats, {kind}", values, unit="served tokens/s", latency_p50_s=round(statistics.median(latencies), 3),
                     latency_p95_s=round(latencies[int(0.95 * (len(latencies) - 1))], 3), server_peak_rss_bytes=server.peak_bytes(), **more)


def python_command(model, threads, flash, cache):
    command = [sys.executable, "-m", "llama_cpp.server", "--model", model, "--model_alias", "model", "--host", "127.0.0.1", "--port", "PORT",
               "--n_threads", str(threads), "--n_threads_batch", str(threads), "--n_ctx", "2048", "--n_batch", "512",
               "--flash_attn", str(flash), "--verbose", "False"]
    return command + (["--cache", "True", "--cache_type", "ram", "--cache_size", str(2 << 30)] if cache else [])


def measure_python_server(kind, model, threads, n):
    """A few chats in each setting, then the best of them in full."""
    tried = {}
    for flash, cache in itertools.product((False, True), (False, True)):
        server = Server(python_command(model, threads, flash, cache), "/v1/models")
        try:
            chats(server.port, 100, 1000, 1)
            tried[flash, cache] = chats(server.port, 101, 2000, CHATS_TO_CHOOSE)[0]
        finally:
            server.stop()
    best = max(tried, key=tried.get)
    server = Server(python_command(model, threads, *best), "/v1/models")
    try:
        report(f"llama-cpp-python server {kind}", server, rounds(server, n),
               settings={"flash_attn": best[0], "cache": best[1]},
               tried={f"flash_attn={f} cache={c}": round(v, 1) for (f, c), v in tried.items()})
    finally:
        server.stop()


LLAMA_SERVER = """
import sys, time
import xllamacpp
p = xllamacpp.CommonParams()
p.model.path, p.port, p.n_parallel, p.n_ctx = sys.argv[1], int(sys.argv[2]), int(sys.argv[4]), int(sys.argv[4]) * 1024
p.cpuparams.n_threads = p.cpuparams_batch.n_threads = int(sys.argv[3])
p.flash_attn_type, p.use_jinja, p.kv_unified = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_ENABLED, True, sys.argv[5] == "True"
server = xllamacpp.Server(p)
while True:
    time.sleep(1)
"""


def llama_command(model, threads, unified):
    return [sys.executable, "-c", LLAMA_SERVER, model, "PORT", str(threads), str(CHATS), str(unified)]


def measure_llama_server(kind, model, threads, n):
    """With one cache of keys and values for all slots, and with one for each: the better in full."""
    tried = {}
    for unified in (False, True):
        server = Server(llama_command(model, threads, unified), "/health")
        try:
            chats(server.port, 100, 1000, 2)
            tried[unified] = chats(server.port, 101, 2000)[0]
        finally:
            server.stop()
    best = max(tried, key=tried.get)
    server = Server(llama_command(model, threads, best), "/health")
    try:
        report(f"llama.cpp server, AVX2, {kind}", server, rounds(server, n), settings={"slots": CHATS, "flash_attn": True, "kv_unified": best},
               tried={f"kv_unified={u}": round(v, 1) for u, v in tried.items()})
    finally:
        server.stop()


def measure_hone(program, kind, model, threads, n):
    server = Server([program, "serve", "-m", model, "--name", "model", "--port", "PORT", "-t", str(threads)], "/health")
    try:
        prompt_tokens = chats(server.port, 99, 500, 1)[2]
        report(f"hone serve {kind}", server, rounds(server, n), prompt_tokens=prompt_tokens)
    finally:
        server.stop()


def main():
    if len(sys.argv) < 5 or any("=" not in pair for pair in sys.argv[4:]):
        sys.exit(__doc__)
    hone, threads, n = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    models = [pair.split("=", 1) for pair in sys.argv[4:]]
    only = os.environ.get("ONLY")
    if only in (None, "hone"):
        measure_hone(hone, *models[0], threads, n)
    for kind, path in models:
        if only in (None, "llama-cpp-python"):
            measure_python_server(kind, path, threads, n)
        if only in (None, "llama-server"):
            measure_llama_server(kind, path, threads, n)


main()
