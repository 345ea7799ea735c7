/* approach.h - one interface for every way to do a task.
 *
 * An approach builds itself on train, chooses its settings on select_tune and then answers rows. It is one file with
 * one hone_approach_type. There are two sorts: those that predict (classical baselines) and those that send messages to
 * the model; for the latter approach.c does the sending, so that a prompt, a tuned model and a latency measurement all
 * go through one path.
 *
 * Everything an approach chose stands in `settings`, which is part of the key of its answers. build() may be called
 * again after a kill: what it found out is in the ledger, so it comes to the same settings without the work. */
#ifndef HONE_APPROACH_APPROACH_H
#define HONE_APPROACH_APPROACH_H

#include "approach/workbench.h"

typedef enum hone_approach_family {
    HONE_APPROACH_BASELINE,
    HONE_APPROACH_PROMPT,
    HONE_APPROACH_TUNED
} hone_approach_family;

typedef struct hone_approach hone_approach;

/* One of several trainings of an approach that differ in their seed alone. */
typedef struct hone_approach_seed {
    uint64_t seed;
    const hone_adapter *adapter;
    const char *adapter_folder;
    json_t *settings; /* as hone_approach.settings: what its answers are remembered under; owned */
    double select_tune_score;
} hone_approach_seed;

typedef struct hone_approach_type {
    const char *name; /* as shown: "tuned + prompt" */
    const char *word; /* as typed: "tuned-prompt" */
    hone_approach_family family;
    bool needs_labels;    /* only for tasks with a label set */
    bool uses_embeddings; /* of the rows it answers; bench->embeddings must be there */
    hone_status (*build)(hone_approach *a, hone_progress *progress, hone_error *err);
    /* Predicting sort: the answer, borrowed from the task or from a->arena. */
    hone_status (*predict)(hone_approach *a, const hone_row *row, const char **answer, hone_error *err);
    /* Prompting sort: the messages for a row without its first `skip` demonstrations (0..a->n_demonstrations). */
    hone_status (*messages)(hone_approach *a, const hone_row *row, size_t skip, json_t **out, hone_error *err);
    void (*clear)(hone_approach *a); /* frees a->state; may be NULL */
} hone_approach_type;

struct hone_approach {
    const hone_approach_type *type;
    hone_workbench *bench; /* borrowed */
    hone_arena *arena;
    json_t *settings;            /* what was chosen */
    const char *description;     /* one line, after build */
    size_t n_demonstrations;     /* most that messages() can leave out */
    const hone_adapter *adapter; /* NULL: the base model */
    const char *adapter_folder;
    hone_approach_seed *seeds; /* [n_seeds]; the kept one's adapter and settings stand above */
    size_t n_seeds, kept;      /* n_seeds 0: trained once, or not at all */
    int64_t labels_used;       /* labelled rows it needs, in operation or training */
    double build_seconds;      /* training, fitting, searching, over all runs that it took */
    double train_tokens_per_second;
    double epochs, epochs_planned; /* learned; less than planned where a time limit ended it. 0: nothing is trained */
    double select_tune_score;      /* with the settings chosen; NAN when nothing was chosen */
    int64_t n_shortened;           /* prompts that lost demonstrations to fit the context */
    void *state;
};

/* All approaches, cheapest first; ends with NULL. */
extern const hone_approach_type *const hone_approach_types[];
/* By name or word. HONE_NOT_FOUND with a suggestion. */
hone_status hone_approach_find(const char *name, const hone_approach_type **out, hone_error *err);

/* Not yet built. The workbench must outlive it. */
hone_status hone_approach_create(const hone_approach_type *type, hone_workbench *bench, hone_approach **out,
                                 hone_error *err);
void hone_approach_free(hone_approach *a);
/* Builds; afterwards settings, description and the costs are set. */
hone_status hone_approach_build(hone_approach *a, hone_progress *progress, hone_error *err);

/* Answers rows[n] in one go, nothing remembered. restricted: from the label set where the task has one. */
hone_status hone_approach_answer(hone_approach *a, const hone_row *const *rows, size_t n, bool restricted,
                                 hone_arena *arena, hone_answer *out, hone_progress *progress, hone_error *err);
/* Answers the first n rows of a split and remembers each in the ledger; rows answered before are not asked again.
 * out: [n]. *mean (may be NULL): their mean score. *seconds (may be NULL): their sum, earlier runs included. */
hone_status hone_approach_evaluate(hone_approach *a, const char *split, const hone_row *rows, size_t n,
                                   hone_arena *arena, hone_answer *out, double *mean, double *seconds,
                                   hone_progress *progress, hone_error *err);
/* Same with each training seed: out has the answers of the kept one, whose scores become means over the seeds.
 * seed_means: [n_seeds]. *seconds: of all seeds together. An approach without seeds is evaluated once. */
hone_status hone_approach_evaluate_seeds(hone_approach *a, const char *split, const hone_row *rows, size_t n,
                                         hone_arena *arena, hone_answer *out, double *mean, double *seconds,
                                         double *seed_means, hone_progress *progress, hone_error *err);
/* Same without keeping the answers: for choosing settings on select_tune. Adds the time to build_seconds. */
hone_status hone_approach_try(hone_approach *a, double *mean, hone_progress *progress, hone_error *err);

/* The prompt of a row as token ids, appended; *n_skipped (may be NULL): demonstrations left out so that it fits. Only
 * for approaches with messages(). */
hone_status hone_approach_encode(hone_approach *a, const hone_row *row, hone_token_list *ids, size_t *n_skipped,
                                 hone_error *err);

/* A predicting approach's work for a request that takes so many tokens of its embedder, in tokens of the task's model.
 */
double hone_approach_request_work(const hone_approach *a, double tokens_in);

/* Sets a->description from a format; the text lives in a->arena. */
hone_status hone_approach_describe(hone_approach *a, hone_error *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

extern const hone_approach_type hone_approach_majority, hone_approach_nearest_neighbour, hone_approach_tfidf_logistic,
    hone_approach_embedding_neighbour, hone_approach_embedding_logistic, hone_approach_dense_few_shot,
    hone_approach_zero_shot, hone_approach_few_shot, hone_approach_retrieved_few_shot, hone_approach_tuned,
    hone_approach_tuned_prompt;

#endif
