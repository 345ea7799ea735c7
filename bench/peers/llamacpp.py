"""llama.cpp: prefill of 512 tokens, decoding of 128 alone and with other sequences in each step.

The work is that of `hone bench`. Tokens to decode are given, not picked: picking costs llama.cpp nothing here.
Usage: llamacpp.py MODEL.gguf TYPE THREADS [RUNS]
"""
import sys

import llama_cpp as ll

import measure

PREFILL, START, DECODE, SEQUENCES = 512, 8, 128, (1, 8, 32, 64)


class Context:
    def __init__(self, model, threads, sequences, tokens):
        settings = ll.llama_context_default_params()
        settings.n_ctx = tokens * sequences
        settings.n_batch = settings.n_ubatch = max(PREFILL, sequences)
        settings.n_seq_max = sequences
        settings.n_threads = settings.n_threads_batch = threads
        self.raw = ll.llama_init_from_model(model, settings)
        self.batch = ll.llama_batch_init(settings.n_batch, 0, 1)
        if not self.raw:
            sys.exit("llamacpp.py: no context")

    def forget(self):
        ll.llama_memory_clear(ll.llama_get_memory(self.raw), True)

    def step(self, rows):
        """rows: (token, position, sequence, whether logits are wanted)."""
        self.batch.n_tokens = len(rows)
        for i, (token, position, sequence, wanted) in enumerate(rows):
            self.batch.token[i], self.batch.pos[i] = token, position
            self.batch.n_seq_id[i], self.batch.seq_id[i][0], self.batch.logits[i] = 1, sequence, wanted
        if ll.llama_decode(self.raw, self.batch) != 0:
            sys.exit("llamacpp.py: llama_decode failed")
        ll.llama_synchronize(self.raw)

    def close(self):
        ll.llama_batch_free(self.batch)
        ll.llama_free(self.raw)


def main():
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    path, kind, threads, runs = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]) if len(sys.argv) == 5 else 5
    silent = ll.llama_log_callback(lambda level, text, data: None)
    ll.llama_log_set(silent, None)
    ll.llama_backend_init()
    model = ll.llama_model_load_from_file(path.encode(), ll.llama_model_default_params())
    if not model:
        sys.exit(f"llamacpp.py: cannot load {path}")
    who = f"llama.cpp {kind}"

    context = Context(model, threads, 1, PREFILL)
    prompt = [(1000 + i, i, 0, i == PREFILL - 1) for i in range(PREFILL)]

    def prefill():
        context.forget()
        context.step(prompt)

    measure.emit(who, "prefill", measure.rates(PREFILL, prefill, runs))
    context.close()

    for sequences in SEQUENCES:
        context = Context(model, threads, sequences, START + DECODE + 8)
        steps = [[(1000 + p + s, p, s, True) for s in range(sequences)] for p in range(START, START + DECODE)]
        found = []
        for _ in range(runs):
            context.forget()
            for p in range(START):
                context.step([(1000 + p + s, p, s, True) for s in range(sequences)])
            found += measure.rates(sequences * DECODE, lambda: [context.step(rows) for rows in steps], 1, 0)
        measure.emit(who, f"decode {sequences}", found)
        context.close()


main()
