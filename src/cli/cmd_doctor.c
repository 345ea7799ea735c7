/* cmd_doctor.c - `hone doctor`: what this machine is, which kernels run on it, how fast a model can be, what is wrong.
 *
 * Everything goes into one JSON document first; people's text is made from that. The expected speeds are bounds from
 * what was measured here, not measurements of the model:
 *
 *   one sequence:     tokens/s <= 1 / max(matrix bytes / read bandwidth, 2 * weights / multiply-add peak)
 *   a long prompt:    tokens/s <= multiply-add peak / (2 * weights)
 *
 * Each token reads every matrix once, and takes one multiplication and one addition for each weight. Attention and the
 * cache of keys and values come on top and grow with the context. `hone bench` measures the real thing. */
#include "base/file.h"
#include "base/hash.h"
#include "base/machine.h"
#include "base/text.h"
#include "catalogue/models.h"
#include "cli/commands.h"
#include "cli/show.h"
#include "model/model_file.h"
#include "ops/ops.h"

#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct doctor {
    json_t *document, *problems, *notes;
    hone_machine machine;
    double bandwidth, peak, bf16_peak;
} doctor;

static void say(json_t *list, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(json_t *list, const char *format, ...)
{
    char text[1200];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    hone_buffer b = {0};
    hone_utf8_repair(text, strlen(text), &b);
    json_array_append_new(list, json_string(b.data ? b.data : ""));
    hone_buffer_clear(&b);
}

static hone_status look_at_processor(doctor *d, int64_t threads, hone_error *err)
{
    const hone_machine *m = &d->machine;
    hone_ops *ops;
    hone_error why;
    hone_status status = hone_ops_create((int)threads, &ops, err);
    if (status != HONE_OK)
        return status;
    const char *kernels = hone_ops_isa(ops), *cap = getenv("HONE_CPU");
    int n_threads = hone_thread_pool_size(hone_ops_pool(ops));
    d->peak = hone_ops_measure_fma_peak(ops);
    d->bf16_peak = hone_ops_measure_bf16_peak(ops);
    d->bandwidth = hone_ops_measure_read_bandwidth(ops, &why);
    if (!(d->bandwidth > 0))
        say(d->problems, "%s", why.message);
    json_object_set_new(d->document, "processor",
                        json_pack("{s:s, s:s, s:s, s:s?}", "name", m->processor, "features", m->features, "kernels",
                                  kernels, "hone_cpu", cap && *cap ? cap : NULL));
    json_object_set_new(
        d->document, "threads",
        json_pack("{s:i, s:i, s:f}", "processors", m->n_processors, "used", n_threads, "quota", m->processor_quota));
    json_object_set_new(d->document, "measured",
                        json_pack("{s:f, s:f}", "read_bytes_per_second", d->bandwidth, "fma_flops", d->peak));
    if (d->bf16_peak > 0)
        json_object_set_new(json_object_get(d->document, "measured"), "bf16_flops", json_real(d->bf16_peak));
    if (strcmp(kernels, "scalar") == 0 && !(cap && *cap))
        say(d->notes,
            "this processor has no AVX2 (with FMA and F16C): the scalar kernels run, with the same results, many "
            "times slower");
    if (cap && *cap && strcmp(cap, kernels) != 0)
        say(d->notes, "HONE_CPU=%s is a cap; this processor's best below it is %s", cap, kernels);
    else if (cap && *cap)
        say(d->notes, "HONE_CPU=%s caps the kernels; unset it for the fastest this processor has", cap);
    if (m->processor_quota > 0 && m->processor_quota < n_threads)
        say(d->notes,
            "a container allows %.2g processors' time to %d threads; --threads %d avoids that they wait for each "
            "other",
            m->processor_quota, n_threads, m->processor_quota < 1 ? 1 : (int)m->processor_quota);
    hone_ops_free(ops);
    return HONE_OK;
}

/* The weights that a token passes through: all matrices, the embeddings only where they are the output too. */
static hone_status count_weights(const char *path, int64_t *weights, int64_t *bytes, hone_error *err)
{
    hone_model_file opened;
    const hone_gguf *file = &opened.gguf;
    *weights = *bytes = 0;
    hone_status status = hone_model_file_open(path, &opened, err);
    if (status != HONE_OK)
        return status;
    bool tied = !hone_gguf_find_tensor(file, "output.weight");
    const hone_gguf_tensor *embeddings = hone_gguf_find_tensor(file, "token_embd.weight");
    for (size_t i = 0; i < file->n_tensors; i++) {
        const hone_gguf_tensor *t = &file->tensors[i];
        if (t->n_dims < 2 || (t == embeddings && !tied))
            continue;
        *weights += t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3];
        *bytes += (int64_t)t->size_bytes;
    }
    hone_model_file_close(&opened);
    return HONE_OK;
}

static void expect_speed(doctor *d, const char *name, const char *path)
{
    int64_t weights, bytes;
    hone_error err;
    if (!path) {
        say(d->notes, "no model is here; `hone model pull %s` gets the default one", name);
        return;
    }
    if (count_weights(path, &weights, &bytes, &err) != HONE_OK) {
        say(d->problems, "%s", err.message);
        return;
    }
    if (!(d->bandwidth > 0 && d->peak > 0 && weights > 0))
        return;
    double reading = (double)bytes / d->bandwidth, computing = 2 * (double)weights / d->peak;
    json_object_set_new(d->document, "expected",
                        json_pack("{s:s, s:I, s:I, s:f, s:f, s:s}", "model", name, "weights", (json_int_t)weights,
                                  "matrix_bytes", (json_int_t)bytes, "decode_tokens_per_second_at_most",
                                  1 / fmax(reading, computing), "prefill_tokens_per_second_at_most", 1 / computing,
                                  "decode_limit", reading > computing ? "memory" : "arithmetic"));
}

/* "verified", "absent", "damaged". */
static const char *look_at_model(doctor *d, const hone_model_entry *e, const char *path)
{
    char hash[65];
    hone_error err;
    int64_t size = hone_file_size_bytes(path);
    if (size < 0)
        return "absent";
    if (size != e->size_bytes)
        say(d->problems, "%s has %lld bytes where %lld are expected; `hone model pull %s` gets it again", path,
            (long long)size, (long long)e->size_bytes, e->name);
    else if (hone_sha256_file(path, hash, &err) != HONE_OK)
        say(d->problems, "%s", err.message);
    else if (strcmp(hash, e->sha256) != 0)
        say(d->problems, "%s: sha256 is %.12s..., expected %.12s...; `hone model pull %s --verify` gets it again", path,
            hash, e->sha256, e->name);
    else
        return "verified";
    return "damaged";
}

static hone_status look_at_models(doctor *d, hone_error *err)
{
    hone_model_catalogue *catalogue;
    hone_status status = hone_model_catalogue_open(&catalogue, err);
    if (status != HONE_OK)
        return status;
    json_t *models = json_array();
    json_object_set_new(d->document, "models", models);
    size_t n = hone_model_catalogue_size(catalogue);
    for (size_t i = 0; i < n && status == HONE_OK; i++) {
        const hone_model_entry *e = hone_model_catalogue_get(catalogue, i);
        char *path = NULL;
        status = hone_model_path(e, &path, err);
        if (status != HONE_OK)
            break;
        const char *state = look_at_model(d, e, path);
        json_array_append_new(models, json_pack("{s:s, s:s, s:I, s:s}", "name", e->name, "state", state, "size_bytes",
                                                (json_int_t)e->size_bytes, "path", path));
        if (i == 0) /* the catalogue begins with the default model */
            expect_speed(d, e->name, strcmp(state, "verified") == 0 ? path : NULL);
        free(path);
    }
    hone_model_catalogue_free(catalogue);
    return status;
}

static hone_status look_at_memory_and_disk(doctor *d, hone_error *err)
{
    enum {
        LEAST_MEMORY = 768 << 20,
        LEAST_DISK = 256 << 20
    }; /* the default model twice and its cache; the model twice */
    const hone_machine *m = &d->machine;
    char *home, size[32];
    uint64_t free_bytes = 0;
    hone_error why;
    json_object_set_new(d->document, "memory",
                        json_pack("{s:I, s:I, s:I}", "total_bytes", (json_int_t)m->memory_bytes, "available_bytes",
                                  (json_int_t)m->available_bytes, "limit_bytes", (json_int_t)m->limit_bytes));
    uint64_t usable = m->available_bytes;
    if (m->limit_bytes > 0 && (usable == 0 || m->limit_bytes < usable))
        usable = m->limit_bytes;
    hone_format_bytes(usable, size);
    if (usable > 0 && usable < LEAST_MEMORY)
        say(d->problems,
            "%s of memory can be had; the default model wants 768 MiB. End other programs or raise the limit", size);
    hone_status status = hone_home_folder(&home, err);
    if (status != HONE_OK)
        return status;
    bool good = hone_folder_create(home, &why) == HONE_OK && hone_folder_free_bytes(home, &free_bytes, &why) == HONE_OK;
    bool writable = good && access(home, W_OK) == 0;
    if (!good)
        say(d->problems, "%s", why.message);
    else if (!writable)
        say(d->problems, "%s cannot be written; set HONE_HOME to a folder that can", home);
    hone_format_bytes(free_bytes, size);
    if (good && free_bytes < LEAST_DISK)
        say(d->problems, "%s is free on the disk of %s, too little to pull a model; make room or set HONE_HOME", size,
            home);
    json_object_set_new(
        d->document, "home",
        json_pack("{s:s, s:I, s:b}", "path", home, "free_bytes", (json_int_t)free_bytes, "writable", (int)writable));
    free(home);
    return HONE_OK;
}

static const char *text_at(const json_t *document, const char *group, const char *key)
{
    const char *text = json_string_value(json_object_get(json_object_get(document, group), key));
    return text && *text ? text : "unknown";
}

static double number_at(const json_t *document, const char *group, const char *key)
{
    return json_number_value(json_object_get(json_object_get(document, group), key));
}

static void print_list(const char *title, const json_t *list)
{
    size_t i;
    const json_t *line;
    json_array_foreach(list, i, line) printf("%-11s %s\n", title, json_string_value(line));
}

static void print_text(const doctor *d)
{
    const json_t *j = d->document, *model;
    char total[32], available[32], limit[32], disk[32];
    size_t i;
    hone_format_bytes((uint64_t)number_at(j, "memory", "total_bytes"), total);
    hone_format_bytes((uint64_t)number_at(j, "memory", "available_bytes"), available);
    hone_format_bytes((uint64_t)number_at(j, "memory", "limit_bytes"), limit);
    hone_format_bytes((uint64_t)number_at(j, "home", "free_bytes"), disk);
    printf("processor   %s (%s)\n", text_at(j, "processor", "name"), text_at(j, "processor", "features"));
    printf("kernels     %s, %g of %g processors used\n", text_at(j, "processor", "kernels"),
           number_at(j, "threads", "used"), number_at(j, "threads", "processors"));
    printf("arithmetic  %.1f billion operations a second, multiply-add peak measured\n", d->peak / 1e9);
    if (d->bf16_peak > 0)
        printf("            %.1f billion with --numerics bf16, measured\n", d->bf16_peak / 1e9);
    else
        printf("            no bfloat16 products: --numerics bf16 works, but slower than f32\n");
    printf("memory      %s, %s available%s%s; %.1f GB/s read, measured\n", total, available,
           d->machine.limit_bytes ? ", limited to " : "", d->machine.limit_bytes ? limit : "", d->bandwidth / 1e9);
    printf("home        %s, %s free\n", text_at(j, "home", "path"), disk);
    json_array_foreach(json_object_get(j, "models"), i, model)
        printf("%-11s %-18s %s\n", i == 0 ? "models" : "", json_string_value(json_object_get(model, "name")),
               json_string_value(json_object_get(model, "state")));
    if (json_object_get(j, "expected")) {
        char bytes[32];
        double weights = number_at(j, "expected", "weights");
        hone_format_bytes((uint64_t)number_at(j, "expected", "matrix_bytes"), bytes);
        printf("expected    %s, at most:\n", text_at(j, "expected", "model"));
        printf("            one sequence %.0f tokens/s = 1 / max(%s / %.1f GB/s, 2 x %.1fM / %.1fG), limited by %s\n",
               number_at(j, "expected", "decode_tokens_per_second_at_most"), bytes, d->bandwidth / 1e9, weights / 1e6,
               d->peak / 1e9, text_at(j, "expected", "decode_limit"));
        printf("            a prompt %.0f tokens/s = %.1fG / (2 x %.1fM), limited by arithmetic\n",
               number_at(j, "expected", "prefill_tokens_per_second_at_most"), d->peak / 1e9, weights / 1e6);
        printf("            hone bench measures the real speed\n");
    }
    print_list("note", d->notes);
    print_list("wrong", d->problems);
    if (json_array_size(d->problems) == 0)
        printf("nothing is wrong\n");
}

static int run(int argc, char **argv);

const hone_command hone_command_doctor = {
    .name = "doctor",
    .usage = "[--json]",
    .summary = "look at this machine: processor, memory, disk, models, and how fast a model can be",
    .details =
        "Measures multiply-add peak and memory bandwidth (about a second), hashes the models that are here, and "
        "derives\n"
        "the speeds that the default model cannot exceed. Exit code 1 when something is wrong; a processor without\n"
        "AVX2 is slow, not wrong.",
    .run = run,
};

static int run(int argc, char **argv)
{
    bool json = false;
    int64_t threads = 0;
    const hone_option options[] = {
        {"json", 0, HONE_OPTION_FLAG, &json, NULL, "print one JSON document"},
        {"threads", 't', HONE_OPTION_INTEGER, &threads, "N", "threads to measure with (default: all processors)"},
    };
    hone_arguments arguments;
    int code =
        hone_options_begin(&hone_command_doctor, options, sizeof options / sizeof *options, argc, argv, &arguments);
    if (code >= 0)
        return code;
    hone_error err;
    hone_status status = HONE_OK;
    doctor d = {
        .document = json_pack("{s:s}", "version", HONE_VERSION), .problems = json_array(), .notes = json_array()};
    if (!d.document || !d.problems || !d.notes)
        status = hone_fail(&err, HONE_NO_MEMORY, "out of memory");
    else if (arguments.n > 0)
        status = hone_fail(&err, HONE_BAD_INPUT, "takes no arguments");
    else if (threads < 0 || threads > 256)
        status = hone_fail(&err, HONE_BAD_INPUT, "--threads %lld; it takes 0 (all) to 256", (long long)threads);
    hone_machine_read("", &d.machine);
    if (status == HONE_OK)
        status = look_at_processor(&d, threads, &err);
    if (status == HONE_OK)
        status = look_at_memory_and_disk(&d, &err);
    if (status == HONE_OK)
        status = look_at_models(&d, &err);
    bool wrong = json_array_size(d.problems) > 0;
    if (status == HONE_OK) {
        json_object_set(d.document, "notes", d.notes);
        json_object_set(d.document, "problems", d.problems);
        json_object_set_new(d.document, "ok", json_boolean(!wrong));
        if (json)
            status = hone_show_json(d.document, stdout, &err);
        else
            print_text(&d);
    }
    json_decref(d.document);
    json_decref(d.problems);
    json_decref(d.notes);
    if (status != HONE_OK)
        return hone_command_failed(&hone_command_doctor, &err);
    return wrong ? HONE_EXIT_CHECK_FAILED : HONE_EXIT_DONE;
}
