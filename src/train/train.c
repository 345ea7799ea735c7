/* train.c - the training loop: batches, AdamW, schedule, scores, checkpoints.
 *
 * Everything random is counted (order of an epoch, initial A), and a step depends on the state alone, so a run that is
 * killed and continued ends with the same bits. The loss of a batch is the mean over its labelled tokens, also when it
 * is computed in several micro-batches. */
#include "train/checkpoint.h"
#include "train/memory.h"
#include "train/optimise.h"
#include "train/record.h"
#include "train/trainable.h"

#include "base/cancel.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/rng.h"
#include "base/text.h"

#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_STEPS = 10000000, PLAN_AFTER_STEPS = 4 };

const char *hone_train_method_name(hone_train_method method)
{
    static const char *const names[] = {"LoRA", "DoRA", "full"};
    return names[method];
}

void hone_train_method_describe(const hone_train_options *o, char out[48])
{
    const hone_tuned_output *as = &o->output;
    int n = snprintf(out, 48, "%s", hone_train_method_name(o->method));
    if (o->method == HONE_METHOD_FULL && (as->folder || as->typed))
        snprintf(out + n, 48 - (size_t)n, " as %s %s", as->folder ? "hf" : "gguf",
                 hone_dtype_get_info(as->typed ? as->type : HONE_F32)->name);
}

void hone_train_options_defaults(hone_train_options *options)
{
    *options = (hone_train_options){.rank = 16,
                                    .alpha = 32,
                                    .b_rate_ratio = 1,
                                    .learning_rate = 2e-3,
                                    .epochs = 5,
                                    .batch = 16,
                                    .warmup_fraction = 0.05,
                                    .clip_norm = 1.0,
                                    .scores_per_epoch = 1,
                                    .checkpoint_seconds = 30};
}

typedef struct run {
    hone_engine *engine;
    const hone_model *model;
    const hone_train_example *examples;
    size_t n_examples;
    const hone_train_options *options;
    hone_train_score score;
    void *score_context;
    hone_progress *progress;
    hone_error *err;
    hone_trainable *trained;
    hone_train_state state;
    hone_train_memory plan;
    hone_train_step *passes;
    int64_t rows_computed, rows_stood_for; /* of this call's steps */
    float *gradient;
    size_t *order;
    int64_t order_epoch, steps_per_epoch, whole_steps; /* the last: of all epochs */
    char *checkpoint_path;
    char data_hash[65]; /* of the examples' tokens and weights */
    double last_checkpoint, checkpoint_took, started;
    double norm; /* of the last step's gradient, before clipping */
    bool scored_at_all, broke_down;
    const double *example_losses; /* of the last step, in its order; the passes' */
    hone_train_scored scored;     /* the last score, details NULL */
    int64_t scored_step;          /* where it was made */
} run;

static hone_status check(const run *r)
{
    const hone_train_options *o = r->options;
    int64_t context = hone_engine_context_tokens(r->engine);
    if (r->n_examples < 1)
        return hone_fail(r->err, HONE_BAD_INPUT, "no examples to train on");
    if (!(o->learning_rate > 0) || !(o->learning_rate < 1) || !(o->epochs > 0) || !(o->epochs <= 10000) ||
        o->batch < 1 || o->batch > 4096 || !(o->warmup_fraction >= 0) || !(o->warmup_fraction <= 1))
        return hone_fail(r->err, HONE_BAD_INPUT,
                         "learning rate %g, %g epochs, batch %d, warm-up %g: outside what makes sense",
                         o->learning_rate, o->epochs, o->batch, o->warmup_fraction);
    if (o->max_steps < 0 || o->patience < 0 || o->pause_at < 0)
        return hone_fail(r->err, HONE_BAD_INPUT, "steps %lld, patience %d: neither may be negative",
                         (long long)o->max_steps, o->patience);
    if ((o->patience > 0 || o->pause_at > 0) && !r->score)
        return hone_fail(r->err, HONE_BAD_INPUT, "patience needs rows that are held out for scores");
    if (!(o->b_rate_ratio > 0) || !(o->b_rate_ratio <= 1000))
        return hone_fail(r->err, HONE_BAD_INPUT, "B at %g times the rate of A; above 0 and up to 1000 are possible",
                         o->b_rate_ratio);
    for (size_t i = 0; i < r->n_examples; i++) {
        const hone_train_example *e = &r->examples[i];
        if (e->n_prompt < 1 || e->n_prompt >= e->n_ids)
            return hone_fail(r->err, HONE_BAD_INPUT, "example %zu has nothing to learn (%zu prompt tokens of %zu)",
                             i + 1, e->n_prompt, e->n_ids);
        for (size_t j = e->n_prompt; e->weights && j < e->n_ids; j++)
            if (!(e->weights[j] >= 0) || !(e->weights[j] <= 1))
                return hone_fail(r->err, HONE_BAD_INPUT, "example %zu: token %zu weighs %g; 0 to 1 is possible", i + 1,
                                 j + 1, (double)e->weights[j]);
        if (!(hone_train_example_weight(e) > 0))
            return hone_fail(r->err, HONE_BAD_INPUT, "example %zu has nothing to learn (every token weighs 0)", i + 1);
        if ((int64_t)e->n_ids > context)
            return hone_fail(r->err, HONE_BAD_INPUT,
                             "example %zu has %zu tokens; the model's context is %lld. Shorten or remove it", i + 1,
                             e->n_ids, (long long)context);
        for (size_t j = 0; j < e->n_ids; j++)
            if (e->ids[j] < 0 || e->ids[j] >= r->model->config.n_vocab)
                return hone_fail(r->err, HONE_BAD_INPUT, "example %zu: token %zu is %d; the model has tokens 0 to %lld",
                                 i + 1, j + 1, e->ids[j], (long long)r->model->config.n_vocab - 1);
    }
    return HONE_OK;
}

/* What must be equal for a checkpoint to be continued: settings in words, and their hash with the full identity of
 * model and data. */
static void take_fingerprint(run *r)
{
    const hone_train_options *o = r->options;
    const char *model = hone_engine_model_hash(r->engine);
    char method[48];
    hone_train_method_describe(o, method);
    hone_sha256 *data = hone_sha256_create(), *h = hone_sha256_create();
    char digest[65] = "";
    for (size_t i = 0; data && i < r->n_examples; i++) {
        hone_sha256_update(data, &r->examples[i].n_prompt, sizeof r->examples[i].n_prompt);
        hone_sha256_update(data, &r->examples[i].n_ids, sizeof r->examples[i].n_ids);
        hone_sha256_update(data, r->examples[i].ids, r->examples[i].n_ids * sizeof *r->examples[i].ids);
        if (r->examples[i].weights)
            hone_sha256_update(data, r->examples[i].weights, r->examples[i].n_ids * sizeof(float));
    }
    if (data)
        hone_sha256_finish(data, digest);
    memcpy(r->data_hash, digest, sizeof digest);
    snprintf(r->state.settings, sizeof r->state.settings,
             "model %.12s, method %s, layers %.48s, numbers %s %s, examples %zu, content %.12s, rank %d, alpha %.9g, "
             "rsLoRA %d, targets %.60s, "
             "other ranks %.60s, rate ratio %.9g, schedule %s, learning rate %.9g, epochs "
             "%.9g, batch %d, warm-up %.9g, "
             "clipping %.9g, weight decay %.9g, seed %llu, scores an epoch %d, time limit %.9g, most steps %lld, "
             "patience %d, rows a pass %lld",
             model, method,
             o->layers   ? o->layers
             : o->frozen ? o->frozen
                         : "all",
             hone_engine_numerics_class(r->engine), hone_engine_isa(r->engine), r->n_examples, digest, o->rank,
             o->alpha, o->rslora, o->targets ? o->targets : "all", o->rank_of ? o->rank_of : "none", o->b_rate_ratio,
             hone_schedule_name(o->schedule), o->learning_rate, o->epochs, o->batch, o->warmup_fraction, o->clip_norm,
             o->weight_decay, (unsigned long long)o->seed, r->scored_at_all ? o->scores_per_epoch : 0, o->max_seconds,
             (long long)o->max_steps, o->patience, (long long)r->plan.step.max_rows);
    size_t said = strlen(r->state.settings);
    if (r->scored_at_all && o->select_hash)
        snprintf(r->state.settings + said, sizeof r->state.settings - said, ", held-out rows %.12s", o->select_hash);
    if (!h)
        return;
    const double exact[] = {o->alpha,     o->learning_rate, o->epochs,      o->warmup_fraction,
                            o->clip_norm, o->weight_decay,  o->max_seconds, o->b_rate_ratio};
    const char *const whole[] = {o->targets, o->rank_of,
                                 o->layers,  o->frozen ? "all but" : NULL,
                                 o->frozen,  r->scored_at_all ? o->select_hash : NULL};
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) /* however long */
        hone_sha256_update(h, whole[i] ? whole[i] : "", whole[i] ? strlen(whole[i]) + 1 : 0);
    hone_sha256_update(h, exact, sizeof exact);
    hone_sha256_update(h, r->state.settings, strlen(r->state.settings));
    hone_sha256_update(h, model, strlen(model));
    hone_sha256_update(h, digest, strlen(digest));
    hone_sha256_finish(h, r->state.fingerprint);
}

/* What is trained, and how much memory the run takes: refused before anything is begun. */
static hone_status plan(run *r)
{
    const hone_train_options *o = r->options;
    hone_status status = hone_trainable_create(r->engine, o, &r->trained, r->err);
    if (status == HONE_OK)
        status = hone_train_memory_plan(r->engine, r->trained, r->examples, r->n_examples, o->batch, r->score != NULL,
                                        o->memory_bytes, &r->plan, r->err);
    return status;
}

void hone_train_fingerprint(hone_engine *engine, const hone_train_example *examples, size_t n_examples,
                            const hone_train_options *options, bool scored, char out[65])
{
    run r = {
        .engine = engine, .examples = examples, .n_examples = n_examples, .options = options, .scored_at_all = scored};
    take_fingerprint(&r);
    memcpy(out, r.state.fingerprint, sizeof r.state.fingerprint);
}

static hone_status prepare(run *r)
{
    const hone_train_options *o = r->options;
    r->steps_per_epoch = ((int64_t)r->n_examples + o->batch - 1) / o->batch;
    double steps = ceil(o->epochs * (double)r->steps_per_epoch - 1e-9);
    if (steps > MAX_STEPS)
        return hone_fail(r->err, HONE_BAD_INPUT, "%.0f steps; at most %d are possible", steps, MAX_STEPS);
    r->state.total_steps = r->whole_steps = steps < 1 ? 1 : (int64_t)steps;
    if (o->max_steps > 0 && r->state.total_steps > o->max_steps)
        r->state.total_steps = o->max_steps;
    r->state.best_score = r->state.best_loss = NAN;
    r->order_epoch = -1;
    hone_status status = hone_train_step_create(r->model, &r->plan.step, &r->passes, r->err);
    if (status != HONE_OK)
        return status;
    size_t n = r->trained->n_parameters;
    r->gradient = calloc(n, sizeof(float));
    r->state.first_moment = calloc(n, sizeof(float));
    r->state.second_moment = calloc(n, sizeof(float));
    r->state.losses = calloc((size_t)r->state.total_steps, sizeof(float));
    r->order = calloc(r->n_examples, sizeof *r->order);
    if (!r->gradient || !r->state.first_moment || !r->state.second_moment || !r->state.losses || !r->order)
        return hone_fail(r->err, HONE_NO_MEMORY, "out of memory for training %zu parameters (%zu bytes)", n,
                         3 * n * sizeof(float));
    return r->trained->type->begin(r->trained, o->seed, r->err);
}

static double learning_rate(const run *r, int64_t step)
{
    const hone_train_options *o = r->options;
    return o->learning_rate * hone_schedule_factor(o->schedule, o->warmup_fraction, step, r->state.total_steps);
}

enum { EXPLODED = 3 }; /* times the first loss, or that of guessing every token alike */

static bool has_exploded(const run *r, double loss)
{
    double guessing = log((double)r->model->config.n_vocab);
    return r->state.step > 0 && loss > EXPLODED * fmax((double)r->state.losses[0], guessing);
}

/* Names the batch: the rows' lines where they are known. */
static hone_status refuse_broken(run *r, double loss, double norm, int64_t first, int64_t n)
{
    hone_buffer lines = {0};
    r->broke_down = true;
    for (int64_t i = 0; i < n && i < 32; i++) {
        const hone_train_example *e = &r->examples[r->order[first + i]];
        if (e->line > 0)
            hone_buffer_printf(&lines, "%s%lld", lines.length ? ", " : "; lines ", (long long)e->line);
    }
    hone_status status = hone_fail(
        r->err, HONE_BAD_INPUT,
        "training broke down at step %lld (loss %g, gradient norm %g; examples %lld to %lld of epoch "
        "%lld%.300s); the last checkpoint is kept. Use a "
        "lower learning rate than %g",
        (long long)r->state.step + 1, loss, norm, (long long)first + 1, (long long)(first + n),
        (long long)(r->state.step / r->steps_per_epoch) + 1, lines.data ? lines.data : "", r->options->learning_rate);
    hone_buffer_clear(&lines);
    return status;
}

/* One optimiser step; the loss is the mean over the labelled tokens of the batch, by weight. */
static hone_status train_step(run *r, double *loss)
{
    hone_ops *ops = r->model->ops;
    int64_t step = r->state.step, epoch = step / r->steps_per_epoch,
            first = step % r->steps_per_epoch * r->options->batch;
    int64_t n = (int64_t)r->n_examples - first < r->options->batch ? (int64_t)r->n_examples - first : r->options->batch;
    double weight = 0;
    size_t n_parameters = r->trained->n_parameters;
    if (r->order_epoch != epoch) {
        hone_rng_permutation((hone_rng_key){r->options->seed, HONE_RNG_SHUFFLE, (uint32_t)epoch}, r->n_examples,
                             r->order);
        r->order_epoch = epoch;
    }
    for (int64_t i = 0; i < n; i++)
        weight += hone_train_example_weight(&r->examples[r->order[first + i]]);
    r->trained->type->refresh(r->trained);
    memset(r->gradient, 0, n_parameters * sizeof(float));
    hone_step_result sum = hone_train_step_gradient(r->passes, r->trained->adapter, r->examples, r->order + first, n,
                                                    1.0f / (float)weight, r->gradient);
    *loss = sum.loss;
    r->example_losses = hone_train_step_losses(r->passes);
    r->state.tokens += sum.n_tokens;
    r->rows_computed += sum.n_rows;
    r->rows_stood_for += sum.n_tokens - n; /* an example's last token has no row */
    double norm = sqrt(hone_op_sum_squares(ops, (int64_t)n_parameters, r->gradient)), clip = r->options->clip_norm;
    if (!isfinite(*loss) || !isfinite(norm) || has_exploded(r, *loss))
        return refuse_broken(r, *loss, norm, first, n);
    hone_adamw settings = {.learning_rate = (float)learning_rate(r, step),
                           .beta1 = 0.9f,
                           .beta2 = 0.999f,
                           .epsilon = 1e-8f,
                           .weight_decay = (float)r->options->weight_decay,
                           .step = step + 1,
                           .gradient_scale = clip > 0 && norm > clip ? (float)(clip / (norm + 1e-6)) : 1.0f};
    hone_optimise(ops, r->trained->groups, r->trained->n_groups, &settings, r->gradient, r->state.first_moment,
                  r->state.second_moment, r->trained->parameters);
    r->state.losses[step] = (float)*loss;
    r->state.step++;
    r->norm = norm;
    return HONE_OK;
}

static hone_status save_result(run *r)
{
    return r->trained->type->save(r->trained, r->options->folder, r->err);
}

/* Parameters that are no numbers any more never replace the last good state. */
static hone_status checkpoint(run *r)
{
    if (!isfinite(hone_op_sum_squares(r->model->ops, (int64_t)r->trained->n_parameters, r->trained->parameters))) {
        r->broke_down = true;
        return hone_fail(r->err, HONE_BAD_INPUT,
                         "training broke down at step %lld (the %s is no longer finite); the last checkpoint is "
                         "kept. Use a lower learning rate than %g",
                         (long long)r->state.step, r->trained->type->what, r->options->learning_rate);
    }
    double start = hone_clock_seconds();
    hone_status status = hone_checkpoint_write(r->checkpoint_path, &r->state, r->trained, r->err);
    r->last_checkpoint = hone_clock_seconds();
    r->checkpoint_took = r->last_checkpoint - start;
    return status;
}

enum { LEAST_WORK_A_CHECKPOINT = 20 }; /* times what writing one takes: that of a whole model is large */

static bool checkpoint_is_due(const run *r)
{
    double every = r->options->checkpoint_seconds, least = LEAST_WORK_A_CHECKPOINT * r->checkpoint_took;
    return hone_clock_seconds() - r->last_checkpoint > (every > 0 && every < least ? least : every);
}

static hone_status ask_score(run *r, json_t **details)
{
    double start = hone_clock_seconds();
    r->trained->type->prepare_to_score(r->trained);
    r->scored = (hone_train_scored){NAN, NAN, NULL};
    hone_train_step_free(r->passes); /* holds nothing between steps; scoring may need as much memory */
    r->passes = NULL;
    hone_status status = r->score(r->score_context, r->trained->adapter, &r->scored, r->err);
    *details = r->scored.details;
    r->scored.details = NULL;
    r->scored_step = r->state.step;
    r->state.score_seconds += hone_clock_seconds() - start;
    if (status == HONE_CANCELLED)
        return hone_fail(r->err, HONE_CANCELLED, "stopped while step %lld was scored; the same command continues",
                         (long long)r->state.step);
    return status == HONE_OK ? hone_train_step_create(r->model, &r->plan.step, &r->passes, r->err) : status;
}

/* Asks for a score; a better one than before leaves its adapter in the folder. Of equal scores the one with the lower
 * loss on held-out rows is better: long answers are hardly ever right to the letter. */
static hone_status score_checkpoint(run *r)
{
    json_t *details = NULL;
    hone_status status = ask_score(r, &details);
    if (status == HONE_OK)
        status = hone_train_metrics_append_score(r->options->folder, r->state.step, &r->scored, details, r->err);
    json_decref(details);
    if (status != HONE_OK)
        return status;
    double score = r->scored.score;
    bool better = isnan(r->state.best_score) || score > r->state.best_score ||
                  (score == r->state.best_score && r->scored.loss < r->state.best_loss);
    if (!better)
        return HONE_OK;
    r->state.best_score = score;
    r->state.best_loss = r->scored.loss;
    r->state.best_step = r->state.step;
    return save_result(r);
}

static int64_t steps_between_scores(const run *r)
{
    int64_t per_epoch = r->options->scores_per_epoch > 0 ? r->options->scores_per_epoch : 1,
            every = r->steps_per_epoch / per_epoch;
    return every > 0 ? every : 1;
}

static bool score_is_due(const run *r)
{
    if (!r->score || r->state.step == 0)
        return false;
    return r->state.step == r->state.total_steps || r->state.step % steps_between_scores(r) == 0;
}

/* The scores since the best follow from the steps alone, so that a continued run stops where a whole one does. */
static bool patience_is_over(const run *r)
{
    if (r->options->patience < 1 || isnan(r->state.best_score))
        return false;
    int64_t every = steps_between_scores(r);
    return r->state.step / every - r->state.best_step / every >= r->options->patience;
}

/* With a time limit the number of steps is settled once, after a few measured ones, and kept in the checkpoint. */
static void plan_for_time(run *r)
{
    if (!(r->options->max_seconds > 0) || r->state.step != PLAN_AFTER_STEPS)
        return;
    double each = r->state.seconds / PLAN_AFTER_STEPS;
    double steps = floor(r->options->max_seconds / each);
    if (steps < r->state.total_steps)
        r->state.total_steps = steps < PLAN_AFTER_STEPS + 1 ? PLAN_AFTER_STEPS + 1 : (int64_t)steps;
    hone_progress_resize(r->progress, r->state.total_steps);
}

/* What a person watches: "loss 0.312  select 0.84  412 tok/s  640 MiB". */
static void show_progress(const run *r, double loss)
{
    char detail[96], select[32] = "", memory[32];
    if (!isnan(r->state.best_score) && !isnan(r->scored.score))
        snprintf(select, sizeof select, "  select %.3f", r->scored.score);
    hone_format_bytes(hone_peak_resident_bytes(), memory);
    snprintf(detail, sizeof detail, "loss %.3f%s  %.0f tok/s  %s", loss, select,
             (double)r->state.tokens / r->state.seconds, memory);
    hone_progress_update(r->progress, r->state.step, detail);
}

static hone_status append_metrics(const run *r, double loss)
{
    int64_t step = r->state.step - 1, first = step % r->steps_per_epoch * r->options->batch,
            n = (int64_t)r->n_examples - first;
    n = n < r->options->batch ? n : r->options->batch;
    hone_train_metrics metrics = {.step = r->state.step,
                                  .loss = loss,
                                  .learning_rate = learning_rate(r, step),
                                  .gradient_norm = r->norm,
                                  .tokens_per_second = (double)r->state.tokens / r->state.seconds,
                                  .seconds = r->state.seconds,
                                  .examples = r->examples,
                                  .order = r->order + first,
                                  .losses = r->example_losses,
                                  .n_examples = (size_t)n};
    return hone_train_metrics_append(r->options->folder, &metrics, r->err);
}

/* Ends a call at pause_at: the score belongs to the caller's comparison and does not choose the best checkpoint, so
 * that the run's adapter is the one that it would have without a pause. */
static hone_status pause_run(run *r)
{
    json_t *details = NULL;
    hone_status status = checkpoint(r);
    if (status == HONE_OK && r->scored_step != r->state.step)
        status = ask_score(r, &details);
    json_decref(details);
    return status;
}

static hone_status train_steps(run *r)
{
    hone_status status = HONE_OK;
    while (r->state.step < r->state.total_steps && status == HONE_OK && !patience_is_over(r)) {
        if (r->options->pause_at > 0 && r->state.step >= r->options->pause_at)
            return pause_run(r);
        if (hone_cancel_requested()) {
            status = checkpoint(r);
            return status != HONE_OK
                       ? status
                       : hone_fail(r->err, HONE_CANCELLED, "stopped at step %lld of %lld; the same command continues",
                                   (long long)r->state.step, (long long)r->state.total_steps);
        }
        double loss, start = hone_clock_seconds();
        status = train_step(r, &loss);
        r->state.seconds += hone_clock_seconds() - start;
        if (status != HONE_OK)
            break;
        plan_for_time(r);
        show_progress(r, loss);
        if ((status = append_metrics(r, loss)) != HONE_OK)
            return status;
        bool scored = score_is_due(r);
        if (scored && (status = score_checkpoint(r)) != HONE_OK)
            return status;
        if ((scored && r->state.step < r->state.total_steps) || checkpoint_is_due(r))
            status = checkpoint(r);
    }
    return status;
}

static double final_loss(const run *r)
{
    int64_t n = r->state.step / 10 > 0 ? r->state.step / 10 : 1;
    double sum = 0;
    for (int64_t i = r->state.step - n; i < r->state.step; i++)
        sum += (double)r->state.losses[i];
    return sum / (double)n;
}

static bool is_paused(const run *r)
{
    return r->options->pause_at > 0 && r->state.step < r->state.total_steps && !patience_is_over(r);
}

static void fill_result(const run *r, hone_train_result *result)
{
    *result = (hone_train_result){
        .steps = r->state.step,
        .tokens = r->state.tokens,
        .seconds = r->state.seconds,
        .score_seconds = r->state.score_seconds,
        .tokens_per_second = r->state.seconds > 0 ? (double)r->state.tokens / r->state.seconds : 0,
        .final_loss = final_loss(r),
        .best_score = r->state.best_score,
        .best_step = r->score ? r->state.best_step : r->state.step,
        .pass_rows = r->plan.step.max_rows,
        .recomputed = r->plan.step.recompute,
        .planned_bytes = r->plan.total,
        .planned_steps = r->state.total_steps,
        .whole_steps = r->whole_steps,
        .paused = is_paused(r),
        .pause = r->scored,
        .shared_rows = r->rows_stood_for > 0 ? 1 - (double)r->rows_computed / (double)r->rows_stood_for : 0};
}

static hone_train_record make_record(const run *r, const hone_train_result *result)
{
    return (hone_train_record){.engine = r->engine,
                               .options = r->options,
                               .result = result,
                               .examples = r->examples,
                               .n_examples = r->n_examples,
                               .fingerprint = r->state.fingerprint,
                               .data_hash = r->data_hash};
}

/* Temporary files of writers that were killed. The caller holds the folder's lock, so nobody is writing them. */
static void remove_leftovers(const char *folder)
{
    static const char *const files[] = {"model.gguf.tmp-",
                                        "checkpoint.bin.tmp-",
                                        "adapter_model.safetensors.tmp-",
                                        "adapter_config.json.tmp-",
                                        "hone.json.tmp-",
                                        "metrics.jsonl.tmp-",
                                        "README.md.tmp-",
                                        "search.json.tmp-",
                                        "report.html.tmp-",
                                        "curve.json.tmp-",
                                        "model.safetensors.tmp-",
                                        "config.json.tmp-",
                                        "generation_config.json.tmp-",
                                        "tokenizer.json.tmp-",
                                        "tokenizer_config.json.tmp-"};
    DIR *entries = opendir(folder);
    for (struct dirent *e; entries && (e = readdir(entries));)
        for (size_t i = 0; i < sizeof files / sizeof *files; i++)
            if (strncmp(e->d_name, files[i], strlen(files[i])) == 0)
                unlinkat(dirfd(entries), e->d_name, 0);
    if (entries)
        closedir(entries);
}

/* True when the folder holds the finished result of this very run. */
static bool read_finished(const run *r, hone_train_result *result)
{
    char *file = hone_path_join(r->options->folder, r->trained->type->result_file);
    bool there = file && hone_file_exists(file);
    free(file);
    if (!there)
        return false;
    char *path = hone_path_join(r->options->folder, "hone.json");
    json_t *record = path ? json_load_file(path, 0, NULL) : NULL, *outcome = json_object_get(record, "result");
    const char *fingerprint = json_string_value(json_object_get(record, "run_fingerprint"));
    bool finished = fingerprint && outcome && strcmp(fingerprint, r->state.fingerprint) == 0;
    if (finished) {
        json_t *best = json_object_get(outcome, "best_score");
        double seconds = json_number_value(json_object_get(outcome, "seconds"));
        *result = (hone_train_result){.steps = json_integer_value(json_object_get(outcome, "steps")),
                                      .tokens = json_integer_value(json_object_get(outcome, "tokens")),
                                      .seconds = seconds,
                                      .score_seconds = json_number_value(json_object_get(outcome, "score_seconds")),
                                      .final_loss = json_number_value(json_object_get(outcome, "final_loss")),
                                      .best_score = best ? json_number_value(best) : NAN,
                                      .best_step = json_integer_value(json_object_get(outcome, "best_step")),
                                      .planned_steps = json_integer_value(json_object_get(outcome, "planned_steps")),
                                      .whole_steps = json_integer_value(json_object_get(outcome, "whole_steps")),
                                      .resumed = true};
        result->tokens_per_second = seconds > 0 ? (double)result->tokens / seconds : 0;
    }
    json_decref(record);
    free(path);
    return finished;
}

/* A finished adapter of another run is somebody's work: it is not overwritten. */
static hone_status refuse_other_finished(const run *r)
{
    char *path = hone_path_join(r->options->folder, "hone.json");
    json_t *record = path ? json_load_file(path, 0, NULL) : NULL;
    const char *fingerprint = json_string_value(json_object_get(record, "run_fingerprint"));
    hone_status status = HONE_OK;
    if (fingerprint && strcmp(fingerprint, r->state.fingerprint) != 0)
        status = hone_fail(r->err, HONE_BAD_INPUT,
                           "%s: holds the finished adapter of another run (other data, model or settings); remove the "
                           "folder or choose another with -o",
                           r->options->folder);
    json_decref(record);
    free(path);
    return status;
}

static void clean_up(run *r)
{
    hone_trainable_free(r->trained);
    hone_train_step_free(r->passes);
    free(r->gradient);
    free(r->state.first_moment);
    free(r->state.second_moment);
    free(r->state.losses);
    free(r->order);
    free(r->checkpoint_path);
}

hone_status hone_train(hone_engine *engine, const hone_train_example *examples, size_t n_examples,
                       const hone_train_options *options, hone_train_score score, void *score_context,
                       hone_progress *progress, hone_train_result *result, hone_error *err)
{
    run r = {.engine = engine,
             .model = hone_engine_get_model(engine),
             .examples = examples,
             .n_examples = n_examples,
             .options = options,
             .score = score,
             .scored_at_all = score != NULL,
             .scored = {NAN, NAN, NULL},
             .score_context = score_context,
             .progress = progress,
             .err = err};
    hone_lock lock = {-1};
    hone_train_record record;
    char *lock_path = NULL;
    bool resumed = false;
    hone_error ignored;
    if (!r.err)
        r.err = &ignored;
    *result = (hone_train_result){.best_score = NAN};
    hone_status status = check(&r);
    if (status == HONE_OK)
        status = plan(&r);
    if (status == HONE_OK)
        status = hone_folder_create(options->folder, r.err);
    if (status == HONE_OK)
        status = (lock_path = hone_path_join(options->folder, ".lock"))
                     ? hone_lock_take(lock_path, &lock, r.err)
                     : hone_fail(r.err, HONE_NO_MEMORY, "out of memory");
    if (status != HONE_OK)
        goto done;
    remove_leftovers(options->folder);
    take_fingerprint(&r);
    if (!(r.checkpoint_path = hone_path_join(options->folder, "checkpoint.bin"))) {
        status = hone_fail(r.err, HONE_NO_MEMORY, "out of memory");
        goto done;
    }
    if (read_finished(&r, result)) {
        remove(r.checkpoint_path); /* of a run killed between its last two steps */
        goto done;
    }
    if ((status = refuse_other_finished(&r)) != HONE_OK || (status = prepare(&r)) != HONE_OK)
        goto done;
    status = hone_checkpoint_read(r.checkpoint_path, &r.state, r.trained, r.err);
    resumed = status == HONE_OK;
    if (status != HONE_OK && status != HONE_NOT_FOUND)
        goto done;
    if ((status = hone_train_metrics_cut(options->folder, r.state.step, r.err)) != HONE_OK)
        goto done;
    r.last_checkpoint = hone_clock_seconds();
    hone_progress_begin(progress, "training", "steps", r.state.total_steps);
    status = train_steps(&r);
    hone_progress_end(progress);
    if (status == HONE_OK && !score)
        status = save_result(&r);
    if (status != HONE_OK)
        goto done;
    fill_result(&r, result);
    result->resumed = resumed;
    if (result->paused)
        goto done;
    record = make_record(&r, result);
    status = hone_train_record_write(&record, r.err);
    if (status == HONE_OK)
        remove(r.checkpoint_path);
done:
    result->broke_down = r.broke_down;
    clean_up(&r);
    hone_lock_release(&lock);
    free(lock_path);
    return status;
}
