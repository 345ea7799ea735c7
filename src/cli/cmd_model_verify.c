/* cmd_model_verify.c - `hone model verify`: is the file right, and does this machine compute it right? */
#include "catalogue/models.h"
#include "cli/commands.h"
#include "cli/model_argument.h"
#include "cli/progress_bar.h"
#include "cli/sample_text.h"
#include "model/model.h"
#include "model/model_file.h"
#include "model/trace.h"
#include "model/verify.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int run(int argc, char **argv);

const hone_command hone_command_model_verify = {
    .name = "model verify",
    .usage = "MODEL [TEXT] [--numerics [f32|bf16] [--adapter ADAPTER]] [options]",
    .summary = "check a model file, and this machine's arithmetic against double precision",
    .details =
        "Checks the structure, the hash where the catalogue knows the file, and that every weight is a finite number.\n"
        "--numerics runs the model on a text twice, with the kernels in use and in double precision, and shows how "
        "far\n"
        "the two are apart after each block and in the log-probabilities; with bf16, in that numerics class.\n"
        "Exit code 1 when a check fails.",
    .run = run,
};

typedef struct settings {
    const char *model, *text, *adapter, *class_name; /* the latter NULL without --numerics */
    hone_numerics numerics;
    bool json;
    int64_t threads, tokens;
} settings;

typedef struct findings {
    char hash[65];
    const char *expected_hash; /* of the catalogue; NULL: it does not know this file */
    hone_weight_check weights;
    int64_t n_ids;
    const char *isa;
    hone_trace_difference numerics;
    hone_trace_tolerance tolerance;
    bool file_good, numerics_good;
} findings;

/* The catalogue's hash of a model that was named by its name. */
static hone_status find_expected(const settings *s, hone_model_catalogue **catalogue, findings *f, hone_error *err)
{
    const hone_model_entry *entry = NULL;
    hone_error unknown;
    hone_status status = hone_model_catalogue_open(catalogue, err);
    for (size_t i = 0; status == HONE_OK && i < hone_model_catalogue_size(*catalogue); i++) {
        const hone_model_entry *e = hone_model_catalogue_get(*catalogue, i);
        if (!e->n_files && strcmp(e->sha256, f->hash) == 0)
            f->expected_hash = e->sha256; /* named by its path, but a file that the catalogue has */
    }
    if (status == HONE_OK && hone_model_catalogue_find(*catalogue, s->model, &entry, &unknown) == HONE_OK &&
        !entry->n_files)
        f->expected_hash = entry->sha256;
    return status;
}

static hone_status compare_numerics(const hone_gguf *file, const settings *s, findings *f, hone_error *err)
{
    hone_token_list ids = {0};
    hone_ops *ops = NULL;
    const hone_sample_side single = {.file = file, .adapter = s->adapter, .numerics = s->numerics},
                           exact = {.file = file, .adapter = s->adapter, .exact = true};
    hone_status status = hone_sample_encode(file, s->text, (size_t)s->tokens, &ids, err);
    f->n_ids = (int64_t)ids.n;
    if (status == HONE_OK && (status = hone_ops_create_as(s->numerics, 1, &ops, err)) == HONE_OK)
        f->isa = hone_ops_isa(ops); /* a static text */
    hone_ops_free(ops);
    if (status == HONE_OK)
        status = hone_sample_compare(&single, &exact, &ids, (int)s->threads, hone_progress_bar(), &f->numerics, err);
    f->tolerance = hone_trace_tolerance_of(s->numerics);
    f->numerics_good = status == HONE_OK && hone_trace_within_tolerance(&f->numerics, &f->tolerance);
    hone_token_list_clear(&ids);
    return status;
}

/* null where a difference is beyond all bounds: JSON has no infinity. */
static json_t *finite_json(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *distance_json(const hone_distance *d)
{
    return json_pack("{s:o, s:o}", "max_abs", finite_json(d->worst), "relative_l2", finite_json(d->relative));
}

static void print_json(const settings *s, const char *path, const findings *f)
{
    json_t *o =
        json_pack("{s:s, s:s, s:s?, s:b, s:I, s:I, s:I}", "path", path, "sha256", f->hash, "expected_sha256",
                  f->expected_hash, "file_good", f->file_good, "tensors", (json_int_t)f->weights.n_tensors, "weights",
                  (json_int_t)f->weights.n_weights, "bad_tensors", (json_int_t)f->weights.n_bad_tensors);
    if (o && s->class_name && f->numerics.hidden) {
        const hone_trace_difference *d = &f->numerics;
        json_t *layers = json_array();
        for (int64_t l = 0; l <= d->n_layers; l++)
            json_array_append_new(layers, distance_json(&d->hidden[l]));
        json_object_set_new(
            o, "numerics",
            json_pack("{s:s, s:s, s:I, s:b, s:o, s:o, s:{s:o, s:o, s:I}, s:I, s:{s:f, s:f, s:f}}", "isa", f->isa,
                      "numerics_class", hone_numerics_name(s->numerics), "tokens", (json_int_t)f->n_ids, "good",
                      f->numerics_good, "layers", layers, "logits", distance_json(&d->logits), "logprobs", "mean",
                      finite_json(d->logprob_mean), "worst", finite_json(d->logprob_worst), "n",
                      (json_int_t)d->n_logprobs, "same_best_token", (json_int_t)d->n_best, "tolerance", "relative_l2",
                      f->tolerance.hidden, "logprob", f->tolerance.logprob, "logprob_mean", f->tolerance.logprob_mean));
    }
    if (o)
        json_dumpf(o, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(o);
}

static void name_layer(int64_t l, char out[32])
{
    snprintf(out, 32, l ? "block %lld" : "embedding", (long long)l - 1);
}

static void print_verdict(const findings *f)
{
    char name[32] = "logits";
    int64_t bad = hone_trace_first_bad_layer(&f->numerics, &f->tolerance);
    if (f->numerics_good) {
        printf("numerics: good. What is left is rounding.\n");
        return;
    }
    if (bad >= 0)
        name_layer(bad, name);
    printf("numerics: BAD, first in the %s. Run again with HONE_CPU=scalar: if that is good, the %s kernels or this\n"
           "processor are at fault; if not, the model's file or its format.\n",
           name, f->isa);
}

static void print_numerics(const settings *s, const findings *f)
{
    const hone_trace_difference *d = &f->numerics;
    printf("\n%s (%s kernels) against double precision, %lld tokens\n\n",
           s->numerics == HONE_NUMERICS_F32 ? "single precision" : "numerics class bf16", f->isa, (long long)f->n_ids);
    printf("  %-12s %12s %14s\n", "after", "max abs", "relative L2");
    for (int64_t l = 0; l <= d->n_layers; l++) {
        char name[32];
        name_layer(l, name);
        printf("  %-12s %12.2e %14.2e%s\n", name, d->hidden[l].worst, d->hidden[l].relative,
               d->hidden[l].relative <= f->tolerance.hidden ? "" : "  beyond the tolerance");
    }
    printf("  %-12s %12.2e %14.2e\n\n", "logits", d->logits.worst, d->logits.relative);
    printf("log-probabilities of the text's tokens: %.1e nats apart on average, %.1e at worst\n", d->logprob_mean,
           d->logprob_worst);
    printf("most likely next token: the same in %lld of %lld places\n", (long long)d->n_best, (long long)d->n_rows);
    printf("tolerance: relative L2 %.0e after every block, %.0e nats for every token, %.0e on average\n",
           f->tolerance.hidden, f->tolerance.logprob, f->tolerance.logprob_mean);
    print_verdict(f);
}

static void print_text(const settings *s, const char *path, const findings *f)
{
    printf("%s\n", path);
    printf("  structure  good: %zu tensors, %lld weights\n", f->weights.n_tensors, (long long)f->weights.n_weights);
    if (!f->expected_hash)
        printf("  sha256     %s (no catalogue entry to compare with)\n", f->hash);
    else if (strcmp(f->expected_hash, f->hash) == 0)
        printf("  sha256     good: %s, as in the catalogue\n", f->hash);
    else
        printf("  sha256     BAD: %s; the catalogue has %s. Get it again: hone model pull --verify\n", f->hash,
               f->expected_hash);
    if (f->weights.n_bad_tensors)
        printf(
            "  weights    BAD: %zu tensors hold values that are no finite numbers, the first is \"%s\" (weight %lld)\n",
            f->weights.n_bad_tensors, f->weights.first_bad, (long long)f->weights.first_bad_weight);
    else
        printf("  weights    good: all finite\n");
    if (s->class_name && f->numerics.hidden)
        print_numerics(s, f);
}

static hone_status verify(const settings *s, const char *path, findings *f, hone_error *err)
{
    hone_model_file file = {0};
    hone_model_bytes bytes = {0};
    hone_model *model = NULL;
    hone_ops *ops = NULL;
    hone_status status = hone_model_file_open(path, &file, err);
    if (status == HONE_OK && (status = hone_model_bytes_open(path, &bytes, err)) == HONE_OK)
        hone_model_bytes_hash(&bytes, f->hash);
    if (status == HONE_OK && (status = hone_ops_create((int)s->threads, &ops, err)) == HONE_OK)
        status = hone_model_open(ops, &file.gguf, &model, err); /* shapes against the configuration */
    hone_model_close(model);
    hone_ops_free(ops);
    if (status == HONE_OK)
        status = hone_model_check_weights(&file.gguf, hone_progress_bar(), &f->weights, err);
    if (status == HONE_OK && s->class_name)
        status = compare_numerics(&file.gguf, s, f, err);
    hone_model_bytes_close(&bytes);
    hone_model_file_close(&file);
    return status;
}

static hone_status check_settings(const settings *s, const hone_arguments *arguments, hone_error *err)
{
    if (arguments->n < 1 || arguments->n > 2)
        return hone_fail(err, HONE_BAD_INPUT,
                         "name one model, and a text if you like: hone model verify smollm2-135m --numerics");
    if (!s->class_name && (s->adapter || arguments->n == 2))
        return hone_fail(err, HONE_BAD_INPUT, "a text or --adapter is for --numerics");
    if (s->tokens < 2 || s->tokens > 4096)
        return hone_fail(err, HONE_BAD_INPUT, "--tokens %lld; it takes 2 to 4096", (long long)s->tokens);
    return s->threads < 0 || s->threads > 256
               ? hone_fail(err, HONE_BAD_INPUT, "--threads %lld; it takes 0 (all) to 256", (long long)s->threads)
               : HONE_OK;
}

static int run(int argc, char **argv)
{
    settings s = {.text = hone_sample_text, .tokens = HONE_SAMPLE_TOKENS};
    const hone_option options[] = {
        {"numerics", 0, HONE_OPTION_CHOICE, &s.class_name, "[f32|bf16]",
         "compare with double precision, layer by layer, in this class"},
        {"adapter", 0, HONE_OPTION_TEXT, &s.adapter, "ADAPTER", HONE_ADAPTER_HELP},
        {"tokens", 0, HONE_OPTION_INTEGER, &s.tokens, "N", "of the text, at most (default 64)"},
        {"threads", 0, HONE_OPTION_INTEGER, &s.threads, "N", "threads (default: all processors)"},
        {"json", 0, HONE_OPTION_FLAG, &s.json, NULL, "print one JSON document"},
    };
    hone_arguments arguments;
    int code = hone_options_begin(&hone_command_model_verify, options, sizeof options / sizeof *options, argc, argv,
                                  &arguments);
    if (code >= 0)
        return code;
    hone_error err;
    char *path = NULL, *folder = NULL;
    findings f = {0};
    hone_model_catalogue *catalogue = NULL;
    hone_status status = check_settings(&s, &arguments, &err);
    if (status == HONE_OK)
        status = hone_cli_read_numerics(s.class_name, &s.numerics, &err);
    if (status == HONE_OK) {
        s.model = arguments.items[0];
        s.text = arguments.n == 2 ? arguments.items[1] : s.text;
        status = hone_cli_find_files(s.model, s.adapter, &path, &folder, &err);
        s.adapter = folder;
    }
    if (status == HONE_OK)
        status = verify(&s, path, &f, &err);
    if (status == HONE_OK)
        status = find_expected(&s, &catalogue, &f, &err);
    if (status == HONE_OK) {
        f.file_good = !f.weights.n_bad_tensors && (!f.expected_hash || strcmp(f.expected_hash, f.hash) == 0);
        (s.json ? print_json : print_text)(&s, path, &f);
    }
    bool good = f.file_good && (!s.class_name || f.numerics_good);
    hone_trace_difference_clear(&f.numerics);
    hone_model_catalogue_free(catalogue);
    free(path);
    free(folder);
    if (status != HONE_OK)
        return hone_command_failed(&hone_command_model_verify, &err);
    return good ? HONE_EXIT_DONE : HONE_EXIT_CHECK_FAILED;
}
