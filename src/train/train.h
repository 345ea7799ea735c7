/* train.h - tuning an adapter on tokenised examples. Knows no task, metric or prompt. */
#ifndef HONE_TRAIN_TRAIN_H
#define HONE_TRAIN_TRAIN_H

#include "engine/engine.h"
#include "model/tuned.h"

#include <jansson.h>

typedef struct hone_train_example {
    const int32_t *ids; /* prompt, then completion; borrowed */
    size_t n_ids;
    size_t n_prompt;      /* tokens before the first labelled one, 1 <= n_prompt < n_ids */
    const float *weights; /* [n_ids], borrowed: how much predicting ids[i] counts, from n_prompt on; NULL: each once */
    int64_t line;         /* of the row it was made from, for messages; 0: not known */
    const char *input, *answer; /* the row as text, for reports; borrowed, may be NULL */
} hone_train_example;

typedef enum hone_schedule_kind {
    HONE_SCHEDULE_LINEAR,   /* after the warm-up in equal steps to zero */
    HONE_SCHEDULE_COSINE,   /* half a cosine to zero */
    HONE_SCHEDULE_CONSTANT, /* stays */
    HONE_SCHEDULE_WSD       /* stays, and falls to zero in the last fifth (warm-up, stable, decay) */
} hone_schedule_kind;
/* "linear", "cosine", "constant", "wsd"; false for another word. */
bool hone_schedule_parse(const char *word, hone_schedule_kind *out);
const char *hone_schedule_name(hone_schedule_kind schedule);
/* The factor of the peak rate at a step counted from 0: rises over floor(warmup_fraction * total) steps, then as the
 * schedule says. */
double hone_schedule_factor(hone_schedule_kind schedule, double warmup_fraction, int64_t step, int64_t total);

typedef enum hone_train_method {
    HONE_METHOD_LORA, /* Hu et al. 2021, arXiv 2106.09685 */
    HONE_METHOD_DORA, /* Liu et al. 2024, arXiv 2402.09353: LoRA that learns the length of each row apart */
    HONE_METHOD_FULL  /* the model's own weights, in float32 */
} hone_train_method;
const char *hone_train_method_name(hone_train_method method); /* "LoRA", "DoRA", "full" */

typedef struct hone_train_options {
    const char *folder; /* where checkpoints and the adapter are written; resumed from when it holds a checkpoint of the
                           same run */
    hone_train_method method;      /* LoRA */
    const char *layers, *frozen;   /* blocks that are trained, or that are not (model/layer_choice.h); NULL: all are */
    hone_tuned_output output;      /* of HONE_METHOD_FULL: a GGUF file or a Hugging Face folder, and the type */
    int rank;                      /* 16 */
    double alpha;                  /* 32 */
    bool rslora;                   /* scale alpha / sqrt(rank) instead of alpha / rank */
    const char *targets, *rank_of; /* which layers, and other ranks for some (model/adapter_targets.h); NULL: all */
    double b_rate_ratio;           /* LoRA+ (arXiv 2402.12354): B learns at so many times the rate of A; 1 */
    hone_schedule_kind schedule;   /* linear */
    double learning_rate;          /* 2e-3 */
    double epochs;                 /* 5 */
    int batch;                     /* examples a step, 16 */
    double warmup_fraction;        /* 0.05 of all steps, before the schedule */
    double clip_norm;              /* 1.0 */
    double weight_decay;           /* 0 */
    uint64_t seed;
    int scores_per_epoch;      /* how often score() is asked, 1 */
    double checkpoint_seconds; /* 30: how often the state is written besides at scores */
    uint64_t memory_bytes;     /* 0: no limit; else what the process may need at most (train/memory.h) */
    double max_seconds;        /* 0: no limit; else the schedule is planned to fit and the run ends by then */
    int64_t max_steps;         /* 0: no limit; else the schedule ends after so many steps at the latest */
    int patience;              /* 0: never; else stop after so many scores in a row without a better one */
    int64_t pause_at;          /* 0: never; else return after this step with the state saved and a score: the same call
                                  with another pause goes on, and the run is the same as without */
    const json_t *search;      /* how rate and rank were found, for hone.json; may be NULL */
    const char *description;   /* free text kept in hone.json, may be NULL */
    const char *data_path, *command; /* where the rows came from and what trains again, for the record; may be NULL */
    size_t n_select_rows;            /* held out, for the record */
    const char *select_hash;         /* names what score() asks (64 hex digits): scores choose the checkpoint, so a run
                                        with other held-out rows is another run; NULL: the caller's folder says it */
} hone_train_options;

void hone_train_options_defaults(hone_train_options *options);
/* What follows the folder's name in that of a model trained by HONE_METHOD_FULL: "/model.gguf", or "" where the folder
 * itself is the model. */
const char *hone_train_model_suffix(const hone_train_options *options);
/* "full", or "full as hf f16" where the result is not written as by default. */
void hone_train_method_describe(const hone_train_options *options, char out[48]);

typedef struct hone_train_scored {
    double score;    /* by the task metric, higher is better */
    double loss;     /* of the held-out answers; NAN where it was not measured */
    json_t *details; /* a new reference or NULL: what else goes into the score's line of metrics.jsonl */
} hone_train_scored;
/* Scores a checkpoint on held-out rows. The adapter is loaded in the engine. */
typedef hone_status (*hone_train_score)(void *context, const hone_adapter *adapter, hone_train_scored *out,
                                        hone_error *err);

typedef struct hone_train_result {
    int64_t steps;
    int64_t tokens; /* real tokens of the rows, prompt and completion, times epochs */
    double seconds; /* spent training, over all resumed parts, scoring left out */
    double score_seconds;
    double tokens_per_second;
    double final_loss; /* mean over the last 10 % of the steps */
    double best_score; /* NAN without score() */
    int64_t best_step;
    int64_t planned_steps; /* more than `steps` where it stopped early */
    int64_t whole_steps;   /* of all epochs: more than planned where a limit of time or steps left no more */
    bool resumed;
    int64_t pass_rows;    /* computed at once at most; 0: nothing was computed, the run had ended before */
    bool recomputed;      /* blocks, to save memory */
    size_t planned_bytes; /* what the run may need at most */
    double shared_rows;   /* share of the examples' rows that was not computed, by sharing; of this call's steps */
    bool broke_down; /* with an error: the loss or the adapter was no number any more, or far above the first loss */
    bool paused;     /* at pause_at: the run is not finished */
    hone_train_scored pause; /* the score there; details NULL */
} hone_train_result;

/* What names a run: the hash of model, examples and settings, by which a checkpoint or a finished adapter is known. */
void hone_train_fingerprint(hone_engine *engine, const hone_train_example *examples, size_t n_examples,
                            const hone_train_options *options, bool scored, char out[65]);

/* Trains, keeps the best checkpoint by score() (of equals the one with the lower loss; the last when score is NULL) and
 * leaves a PEFT adapter in options->folder (adapter_config.json, adapter_model.safetensors, hone.json). Killed at any
 * instant, the same call continues from the last checkpoint with the same bits as if it had never stopped.
 * HONE_CANCELLED: state saved. HONE_NO_MEMORY: more than memory_bytes would be needed, with the numbers, before
 * anything is begun. HONE_BAD_INPUT: an example longer than the context, nothing labelled; targets that match no layer;
 * a checkpoint of another run (the difference is named) or its finished adapter; HONE_BUSY: another process trains in
 * that folder. */
hone_status hone_train(hone_engine *engine, const hone_train_example *examples, size_t n_examples,
                       const hone_train_options *options, hone_train_score score, void *score_context,
                       hone_progress *progress, hone_train_result *result, hone_error *err);

#endif
