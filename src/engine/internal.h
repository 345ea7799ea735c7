/* internal.h - what the files of the engine share: engine.c opens and encodes, conversation.c
 * encodes what is to be learned, schedule.c runs steps, choice_search.c
 * looks for the best answer, generate.c makes of a row of logits what the request wants, sampler.c picks tokens. */
#ifndef HONE_ENGINE_INTERNAL_H
#define HONE_ENGINE_INTERNAL_H

#include "engine/choices_trie.h"
#include "engine/engine.h"
#include "engine/page_cache.h"
#include "engine/sampler.h"
#include "engine/text_stream.h"
#include "model/forward.h"
#include "model/model_file.h"

enum {
    HONE_MAX_ACTIVE = 64, /* sequences worked on at once */
    HONE_MAX_SAMPLERS = 8
};

struct hone_engine {
    hone_model_bytes bytes; /* the model's files, kept to notice one that changes; unmapped pages cost nothing */
    char *path;
    char hash[65];
    hone_ops *ops;
    hone_model *model;
    hone_tokenizer *tokenizer;
    hone_template *template;
    bool plain; /* hone's own template: an answer also ends at a blank line */
    char *bos_text, *eos_text;
    int32_t end_of_turn;
    hone_kv_pool *pool;
    hone_page_cache *pages;
    hone_workspace *workspace;
    hone_sampler *samplers[HONE_MAX_SAMPLERS]; /* rows are shared out among them, on several threads */
    int n_samplers;
    int max_batch_rows;
    hone_adapter **adapters;
    size_t n_adapters;
    struct hone_schedule *schedule;
    hone_engine_statistics statistics; /* what is counted */
};

/* Messages (and tools, or NULL) as text by the engine's template, appended to `out`. */
hone_status hone_engine_render(hone_engine *engine, const json_t *messages, const json_t *tools,
                               bool add_generation_prompt, hone_buffer *out, hone_error *err);
/* Rendered text as ids, with a BOS where the model wants one and the template has not written it. */
hone_status hone_engine_encode_rendered(hone_engine *engine, const hone_buffer *text, hone_token_list *ids,
                                        hone_error *err);

/* The best-first search of one request over its trie. A node's value is the log-likelihood of the tokens up to it. Node
 * 0 stands for the prompt's last token. */
typedef struct hone_choice_search {
    const hone_choices *choices;
    const int32_t *pages;    /* for HONE_PAGE_TOKENS slots each; set when the request starts */
    double *logprob;         /* [n_nodes], once known */
    uint8_t *state, *marks;  /* [n_nodes] */
    hone_tree_place *places; /* [n_nodes], page -1 while a node's keys and values are nowhere; parents as in the trie */
    int32_t *open;           /* heap of nodes to be expanded */
    int32_t n_open;
    int32_t best; /* node of the best answer found, or -1 */
    int32_t n_slots, n_free;
    int32_t *in_slot, *free_slots; /* [n_slots]: node or -1; the first n_free are free */
    int32_t *way;                  /* scratch, [longest] */
    int32_t *rows;                 /* [max_rows] nodes of the step, parents first */
    int32_t n_rows, max_rows;
} hone_choice_search;

/* n_slots: at least the longest answer's tokens but its last. */
hone_status hone_choice_search_init(hone_choice_search *s, const hone_choices *choices, int32_t n_slots,
                                    int32_t max_rows, hone_error *err);
void hone_choice_search_clear(hone_choice_search *s);
/* Once the prompt's logits were given: fills rows[] with up to max_rows nodes to compute in the next step. */
int32_t hone_choice_search_pick(hone_choice_search *s, int32_t max_rows);
/* Of a picked row: false where only its keys and values are wanted again. */
bool hone_choice_search_wants_logits(const hone_choice_search *s, int32_t node);
void hone_choice_search_expand(hone_choice_search *s, int32_t node, const float *logits, double log_sum_exp);
/* The best answer is found: choices->nodes[best].choice. */
bool hone_choice_search_is_done(const hone_choice_search *s);

/* What one sequence answers: rows of logits in, the response out (generate.c). All memory is taken at the beginning. */
typedef struct hone_generation {
    const hone_engine *engine;
    const hone_request *request;
    hone_response *response;
    hone_token_history history;
    hone_text_stream *stream; /* NULL where no text ends the answer */
} hone_generation;

/* The parts of a request that generation rules: sampling, log-probabilities. */
hone_status hone_generation_check(const hone_request *request, int64_t n_vocab, hone_error *err);
/* engine, request and response are borrowed until hone_generation_clear. */
hone_status hone_generation_begin(hone_generation *g, const hone_engine *engine, const hone_request *request,
                                  hone_response *response, hone_error *err);
/* Are the logits of the row at this position of the sequence (0: first prompt token) of use? */
bool hone_generation_wants(const hone_generation *g, int64_t position);
/* The logits at a position of the prompt: log-probability of the next prompt token, best tokens after the prompt. */
void hone_generation_prompt_row(hone_generation *g, int64_t position, const float *logits, double log_sum_exp);
/* The token that comes next by the logits after everything so far. Changes nothing, so the rows of a step may be picked
 * from on several threads. */
int32_t hone_generation_pick(const hone_generation *g, hone_sampler *sampler, const float *logits);
/* That token joins the answer: true with it still to be computed, false when the answer ended. */
bool hone_generation_add(hone_generation *g, int32_t id, const float *logits, double log_sum_exp);
/* Writes the answer's text and counts. */
hone_status hone_generation_finish(hone_generation *g, hone_error *err);
void hone_generation_clear(hone_generation *g);

typedef enum hone_ticket_state {
    HONE_TICKET_NEW,
    HONE_TICKET_WAITS,
    HONE_TICKET_ACTIVE,
    HONE_TICKET_DONE
} hone_ticket_state;

/* One request on its way. */
struct hone_ticket {
    hone_request request;
    hone_response *response;
    hone_ticket_state state;
    hone_ticket *previous, *next; /* in the queue, while it waits */
    uint64_t adapter_key;
    int32_t *tokens; /* prompt, then what was generated or is being tried; there is room for the whole length */
    int64_t n_tokens, n_prompt, n_computed;
    int32_t *pages;
    int32_t n_pages, n_registered;
    uint64_t last_serial; /* of the last registered page: the parent of the next */
    hone_choice_search search;
    hone_generation generation;
    bool finished;
};
typedef struct hone_ticket sequence;

typedef struct hone_schedule hone_schedule; /* queue, active tickets and the arrays of a step */
hone_status hone_schedule_create(hone_engine *engine, hone_error *err);
void hone_schedule_free(hone_schedule *schedule);

#endif
