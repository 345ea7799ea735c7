/* engine.h - one scheduler for everything that scores or generates.
 *
 * An engine holds one opened model, its tokenizer and chat template, a pool of key-value pages with a prefix cache, and
 * the adapters loaded on the model. Each step works on many requests, without padding; tokens that several requests (or
 * earlier ones) begin with are computed once. Two ways to use it, one path beneath:
 *
 *   a list     hone_engine_run(requests, n) returns when all are answered
 *   a stream   hone_engine_submit at any time, hone_engine_step again and again (a server's loop): between two steps
 *              requests come, answers are read as they grow, and tickets are closed, finished or not
 *
 * Same bits: a response depends on the request's own tokens, its adapter, the weights and the numerics class alone;
 * never on the other requests, their order, the number of threads or what the cache holds.
 *
 * One owner: calls on one engine must not overlap (a server puts a queue before it). */
#ifndef HONE_ENGINE_ENGINE_H
#define HONE_ENGINE_ENGINE_H

#include "base/progress.h"
#include "base/status.h"
#include "engine/choices.h"
#include "engine/sampling.h"
#include "ops/ops.h"
#include "text/template.h"
#include "text/tokenizer.h"

typedef struct hone_engine hone_engine;
typedef struct hone_adapter hone_adapter; /* a LoRA delta on the engine's model (model/adapter.h) */

typedef struct hone_engine_options {
    int n_threads;          /* 0: all processors this process may use */
    size_t cache_bytes;     /* key-value memory, the prefix cache included; 0: 512 MiB */
    int max_batch_rows;     /* tokens computed in one step; 0: 512 */
    hone_numerics numerics; /* f32 unless set; fixed from here on */
} hone_engine_options;

/* path: a GGUF file. options may be NULL. */
hone_status hone_engine_open(const char *path, const hone_engine_options *options, hone_engine **out, hone_error *err);
void hone_engine_close(hone_engine *engine);

const hone_tokenizer *hone_engine_get_tokenizer(const hone_engine *engine);
int64_t hone_engine_context_tokens(const hone_engine *engine); /* the model's trained context length */
/* Most tokens of one request, prompt and answer: the context, or what the key-value cache holds where that is less. */
int64_t hone_engine_request_tokens(const hone_engine *engine);
int hone_engine_threads(const hone_engine *engine);
const char *hone_engine_model_path(const hone_engine *engine);
/* sha256 of the model file's content (64 hex digits); computed on first use, kept in memory. A file that changed
 * since it was opened has a text that is no hash; hone_engine_submit refuses to go on then. (What was opened is not
 * touched by the change: weights, vocabulary and template are copies.) */
const char *hone_engine_model_hash(hone_engine *engine);
const char *hone_engine_isa(const hone_engine *engine);            /* "avx2" */
const char *hone_engine_numerics_class(const hone_engine *engine); /* "f32" or "bf16" */

/* Messages [{"role","content"},...] through the model's own chat template (hone's `plain` one when it has none) into
 * token ids, appended to `ids`. With the generation prompt the ids end where the answer begins. */
hone_status hone_engine_encode_chat(hone_engine *engine, const json_t *messages, bool add_generation_prompt,
                                    hone_token_list *ids, hone_error *err);
/* A training pair: prompt ids (ending where the answer begins) and completion ids (the answer and the end-of-turn
 * token, so that a tuned model learns to stop). `messages` without the answer. */
hone_status hone_engine_encode_pair(hone_engine *engine, const json_t *messages, const char *answer,
                                    hone_token_list *prompt, hone_token_list *completion, hone_error *err);
/* A conversation to learn from. Its ids are those that serving sees: before each learned turn stands exactly the prompt
 * by which the engine would ask for it. */
typedef struct hone_learned_conversation {
    hone_token_list ids;
    float *weights;     /* [ids.n]: how much predicting ids[i] counts; an answer's tokens and its end of turn */
    size_t capacity;    /* of weights */
    size_t n_prompt;    /* tokens before the first that is learned */
    size_t last_answer; /* where the last learned answer begins that lies within max_tokens; the first if none does */
    size_t last_answer_end; /* where that one ends; beyond max_tokens if none lies within */
    bool too_long;          /* stopped after max_tokens: later turns are not there */
} hone_learned_conversation;
/* weights [messages]: above 0 for the assistant turns to be learned, each of which something precedes. What follows the
 * last of them is left out. HONE_BAD_INPUT where the template does not continue what was learned before (it rewrites
 * earlier turns), or has no place for tools or tool calls. The result is cleared by the caller, also after an error. */
hone_status hone_engine_encode_conversation(hone_engine *engine, const json_t *messages, const json_t *tools,
                                            const float *weights, int64_t max_tokens, hone_learned_conversation *out,
                                            hone_error *err);
void hone_learned_conversation_clear(hone_learned_conversation *c);
const char *hone_engine_template_name(const hone_engine *engine); /* "model" or "plain" */
/* Raw text, with a BOS where the model's file says so. */
hone_status hone_engine_encode_text(hone_engine *engine, const char *text, hone_token_list *ids, hone_error *err);
/* Where a prompt may be shortened to `most` tokens. Of text, the end stays (after a BOS); returns how many tokens went.
 * Of a conversation, the oldest turns go, then the beginning of the last message's text, never the system message:
 * HONE_BAD_INPUT where that does not leave room. The shortened conversation is appended to ids. */
size_t hone_engine_fit_ids(const hone_engine *engine, hone_token_list *ids, int64_t most);
typedef struct hone_left_out {
    size_t n_messages, n_tokens; /* whole messages; tokens of the last one */
} hone_left_out;
hone_status hone_engine_fit_chat(hone_engine *engine, const json_t *messages, int64_t most, hone_token_list *ids,
                                 hone_left_out *out, hone_error *err);
/* sha256 of the template's source (64 hex digits); out needs 65 bytes. */
void hone_engine_template_hash(const hone_engine *engine, char out[65]);
/* The token that ends an answer under the model's template. */
int32_t hone_engine_end_of_turn(const hone_engine *engine);
/* Allowed answers for hone_request.choices: each text followed by the end of turn. */
hone_status hone_engine_create_choices(hone_engine *engine, const char *const *texts, size_t n, hone_choices **out,
                                       hone_error *err);
/* The model's weights become parameters that training changes (model/tuned.h); the engine answers with them as they
 * are. Whoever changes them clears the cache, and the model's hash stays that of its file. layers: [n_layers].
 * HONE_BAD_INPUT: they were before. */
hone_status hone_engine_unfreeze(hone_engine *engine, const bool *layers, hone_error *err);
const struct hone_model *hone_engine_get_model(const hone_engine *engine);
typedef struct hone_engine_memory { /* bytes */
    size_t model;                   /* packed weights and tables of the model and its vocabulary */
    size_t working;                 /* what scoring and generating can come to touch: key-value pages, workspace */
} hone_engine_memory;
hone_engine_memory hone_engine_get_memory(const hone_engine *engine);
/* Forgets the prefix cache and gives its memory back to the system. No ticket may be open. */
void hone_engine_release_memory(hone_engine *engine);

/* Loads PEFT adapter files (adapter_config.json, adapter_model.safetensors) from a folder. The engine owns the result
 * until hone_engine_drop_adapter or close. HONE_BAD_INPUT when it was made for another base (shape or recorded hash).
 */
hone_status hone_engine_load_adapter(hone_engine *engine, const char *folder, hone_adapter **out, hone_error *err);
/* The same by what a user says: a name or a folder (model/adapter_find.h). */
hone_status hone_engine_find_adapter(hone_engine *engine, const char *name, hone_adapter **out, hone_error *err);
/* Gives the engine an adapter made elsewhere (the trainer). It takes ownership on success. */
hone_status hone_engine_add_adapter(hone_engine *engine, hone_adapter *adapter, hone_error *err);
/* No open ticket may use it. */
void hone_engine_drop_adapter(hone_engine *engine, hone_adapter *adapter);

enum { HONE_MAX_ADAPTER_RANK = 256 }; /* of an adapter that the engine computes with, while it is tuned too */

typedef enum hone_finish {
    HONE_FINISH_STOP,   /* the model ended its turn, or a stop string came */
    HONE_FINISH_LENGTH, /* max_new_tokens reached */
    HONE_FINISH_CHOICE, /* one of the allowed choices was taken */
    HONE_FINISH_SCORED  /* nothing was to be generated */
} hone_finish;

typedef struct hone_request {
    const int32_t *ids; /* prompt tokens, borrowed; at least one */
    size_t n_ids;
    const hone_adapter *adapter; /* NULL: the base model */
    int max_new_tokens;          /* 0: only score the prompt */
    bool continues;         /* the answer goes on in the prompt's text, so a space that it begins with is its own; else
                               it is a text by itself (SentencePiece vocabularies put a space before each text) */
    hone_sampling sampling; /* all zero: greedy */
    const char *const *stops; /* borrowed: the answer ends where one of these texts begins */
    size_t n_stops;
    bool want_prompt_logprobs; /* log p(ids[i] | ids[0..i)) for i >= 1 */
    int64_t logprobs_from;     /* 0..n_ids: not before this position, so that what stands there may come from the cache:
                                  a continuation after a context of as many tokens */
    int n_top;                 /* 0..20: the best next tokens after the prompt, with log-probabilities */
    int n_top_output;          /* 0..20: the best tokens at each position of the answer */
    int n_top_prompt;          /* 0..20: the best tokens at each position of the prompt; needs want_prompt_logprobs */
    const hone_choices *choices; /* borrowed; when set, the answer is exactly the choice with the greatest whole
                                    log-likelihood (end of turn included), found by best-first search */
} hone_request;

typedef struct hone_top_token {
    int32_t id;
    float logprob;
} hone_top_token;

/* The token that an answer's text goes on from, as hone_tokenizer_decode_after takes it. */
int32_t hone_request_text_after(const hone_request *request);

/* Log-probabilities are the model's own, before bias, penalties, temperature and truncation; that of one token at one
 * position is the same float wherever it stands. */
typedef struct hone_response {
    int32_t *ids; /* generated tokens, the ending token left out; those of a stop string stay */
    size_t n_ids;
    char *text;             /* the same as text, special tokens left out, up to a stop string; a NUL after it */
    size_t text_bytes;      /* of text, which may have NULs within */
    float *logprobs;        /* [n_ids] of the generated tokens (NULL for a choice) */
    int32_t end_id;         /* the token that ended the answer, -1 when none did */
    float end_logprob;      /* of end_id */
    float *prompt_logprobs; /* [request n_ids], NAN for the first and before logprobs_from; NULL unless asked */
    hone_top_token *top;    /* [n_top] after the prompt */
    int n_top;
    hone_top_token *top_output; /* [n_ids, and one more where end_id >= 0][n_top_output], NULL unless asked */
    hone_top_token
        *top_prompt; /* [request n_ids][n_top_prompt], rows without a log-probability ids -1; NULL unless asked */
    hone_finish finish;
    int choice;                                   /* index into choices, -1 otherwise */
    double choice_logprob;                        /* natural log of the whole choice's likelihood */
    int64_t tokens_in, tokens_out, tokens_cached; /* cached: prompt tokens that did not have to be computed */
} hone_response;

/* A request on its way through the engine. */
typedef struct hone_ticket hone_ticket;
/* Queues a request; the next steps compute it together with whatever else is there. The arrays that the request points
 * to, its adapter and choices, and the response (caller's storage, to be cleared with hone_response_clear, also after
 * an error) are borrowed until the ticket is closed. All memory is taken here: a step needs none.
 * HONE_BAD_INPUT for a prompt that with max_new_tokens exceeds the context or the whole key-value cache, or a model
 * file that changed meanwhile, HONE_NO_MEMORY; the messages have the numbers. Requests start
 * in the order of submission, except that one waits while another is computing what both begin with. */
hone_status hone_engine_submit(hone_engine *engine, const hone_request *request, hone_response *response,
                               hone_ticket **out, hone_error *err);
/* One step over everything submitted. *idle: nothing was left to do, or nothing is now. An error concerns the engine,
 * not one request: close all tickets. */
hone_status hone_engine_step(hone_engine *engine, bool *idle, hone_error *err);
/* Until then, between steps: response->ids and logprobs [0..n_ids) are what was generated so far; prompt_logprobs and
 * top are whole once n_ids > 0; the rest is set when the ticket is done. */
bool hone_ticket_is_done(const hone_ticket *ticket);
/* Ends a request, done or not (cancels it): its place and pages are free at once. NULL is allowed. Every ticket must be
 * closed before the engine is. */
void hone_engine_close_ticket(hone_engine *engine, hone_ticket *ticket);

/* Runs all requests; responses[n] (caller's storage, each to be cleared with hone_response_clear, also after an error).
 * Checks as hone_engine_submit, all of them before anything is computed; HONE_CANCELLED between steps. Tickets that are
 * open go on meanwhile. */
hone_status hone_engine_run(hone_engine *engine, const hone_request *requests, size_t n, hone_response *responses,
                            hone_progress *progress, hone_error *err);
void hone_response_clear(hone_response *response);
typedef struct hone_engine_statistics {   /* counted since the engine was opened, but for the last four */
    int64_t steps, rows;                  /* rows: tokens computed */
    int64_t logit_rows;                   /* of them taken to the vocabulary */
    int64_t prompt_tokens, cached_tokens; /* of the requests that started; cached: found, not computed */
    int64_t evicted_pages;                /* cached pages that made room */
    int n_waiting, n_active;
    int64_t pages, pages_in_use; /* of the key-value cache */
} hone_engine_statistics;
hone_engine_statistics hone_engine_get_statistics(const hone_engine *engine);

/* Forgets cached prefixes (for measuring cold latency). */
void hone_engine_clear_cache(hone_engine *engine);

#endif
