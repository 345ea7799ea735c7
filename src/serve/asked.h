/* asked.h - what a request for generated text asks, read from its JSON: everything that /v1/chat/completions and
 * /v1/completions have in common.
 *
 * Every member that is there is checked for type and range. Members that no one here knows are accepted, as clients
 * send many; those that would constrain the answer, and are known but cannot be kept, are refused (400): an answer must
 * never look constrained without being so. */
#ifndef HONE_SERVE_ASKED_H
#define HONE_SERVE_ASKED_H

#include "serve/api.h"

enum {
    HONE_ASKED_MAX_STOPS = 16,
    HONE_ASKED_MAX_TOP = 20,
    HONE_ASKED_MAX_CHOICES = 128,
    HONE_ASKED_CHAT_TOKENS = 512,     /* where a chat does not say how many: what `hone run` uses */
    HONE_ASKED_COMPLETION_TOKENS = 16 /* where a completion does not: what the interface's reference says */
};

typedef struct hone_asked {
    hone_served_model *model; /* held until the end */
    bool chat;
    hone_token_list *prompts; /* [n_prompts], owned */
    size_t n_prompts;
    int64_t n_choices;       /* for each prompt */
    int64_t max_tokens;      /* -1: not said */
    hone_sampling sampling;  /* of choice 0 */
    hone_logit_bias *biases; /* owned */
    char
        *stops[HONE_ASKED_MAX_STOPS]; /* owned copies: the worker may be the last to let go, and JSON is one thread's */
    size_t n_stops;
    bool stream, include_usage, echo;
    bool exceeds_context;  /* why hone_asked_request failed */
    int n_logprobs;        /* -1: none; else how many of the best to list for each token of the answer */
    int n_prompt_logprobs; /* -1: none; else how many for each token of the prompt, in vLLM's form */
    int64_t created;
    char id[64];
} hone_asked;

/* Reads what both have; the prompts are the caller's to add. body is not kept. *out is to be freed also after a
 * failure, with *param naming the member at fault. */
hone_status hone_asked_read(hone_server *server, hone_served_model *model, const json_t *body, bool chat,
                            hone_asked **out, const char **param, hone_error *err);
void hone_asked_free(void *asked);
/* Fills in the request of choice `choice` of prompt `prompt`. HONE_BAD_INPUT where prompt and answer exceed the
 * context, with the numbers; asked->exceeds_context says that it was that. */
hone_status hone_asked_request(hone_asked *asked, hone_engine *engine, size_t prompt, int64_t choice, hone_request *out,
                               hone_error *err);

#endif
