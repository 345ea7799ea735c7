/* record.c - metrics, hone.json and the model card. The card's head is Hugging Face's (hub docs, "Model cards"). */
#include "train/record.h"

#include "base/clock.h"
#include "base/file.h"
#include "train/general_text.h"
#include "train/warnings.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define METRICS_FILE "metrics.jsonl"

static hone_status append_line(const char *folder, const char *line, hone_error *err)
{
    char *path = line ? hone_path_join(folder, METRICS_FILE) : NULL;
    if (!path)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    FILE *file = fopen(path, "a");
    bool written = file && fputs(line, file) >= 0;
    if (file && fclose(file) != 0)
        written = false;
    hone_status status = written ? HONE_OK : hone_file_fail_errno(err, path, "write");
    free(path);
    return status;
}

hone_status hone_train_metrics_append(const char *folder, const hone_train_metrics *m, hone_error *err)
{
    hone_buffer b = {0};
    hone_buffer_printf(&b,
                       "{\"step\": %lld, \"loss\": %.9g, \"learning_rate\": %.9g, \"gradient_norm\": %.9g, "
                       "\"tokens_per_second\": %.1f, \"seconds\": %.3f, \"lines\": [",
                       (long long)m->step, m->loss, m->learning_rate, m->gradient_norm, m->tokens_per_second,
                       m->seconds);
    for (size_t i = 0; i < m->n_examples; i++) {
        int64_t line = m->examples[m->order[i]].line;
        hone_buffer_printf(&b, "%s%lld", i ? ", " : "", line > 0 ? (long long)line : (long long)m->order[i] + 1);
    }
    hone_buffer_puts(&b, "], \"losses\": [");
    for (size_t i = 0; i < m->n_examples; i++)
        hone_buffer_printf(&b, "%s%.4g", i ? ", " : "", m->losses[i]);
    hone_buffer_puts(&b, "]}\n");
    hone_status status = append_line(folder, b.failed ? NULL : b.data, err);
    hone_buffer_clear(&b);
    return status;
}

hone_status hone_train_metrics_append_score(const char *folder, int64_t step, const hone_train_scored *scored,
                                            const json_t *details, hone_error *err)
{
    hone_buffer b = {0};
    json_t *line = json_pack("{s:I, s:o, s:o}", "step", (json_int_t)step, "score", json_real(scored->score),
                             "select_loss", isfinite(scored->loss) ? json_real(scored->loss) : json_null());
    if (line && details)
        json_object_update_missing(line, (json_t *)(uintptr_t)details);
    char *text = line ? json_dumps(line, JSON_REAL_PRECISION(9)) : NULL;
    hone_buffer_printf(&b, "%s\n", text ? text : "");
    hone_status status = append_line(folder, text && !b.failed ? b.data : NULL, err);
    hone_buffer_clear(&b);
    free(text);
    json_decref(line);
    return status;
}

hone_status hone_train_metrics_cut(const char *folder, int64_t n_steps, hone_error *err)
{
    char *path = hone_path_join(folder, METRICS_FILE);
    hone_buffer text = {0}, kept = {0};
    hone_status status = path ? HONE_OK : hone_fail(err, HONE_NO_MEMORY, "out of memory");
    if (status == HONE_OK && hone_file_exists(path))
        status = hone_file_read(path, 0, &text, err);
    for (char *line = text.data, *end; status == HONE_OK && line && (end = strchr(line, '\n')); line = end + 1) {
        long long step;
        if (sscanf(line, "{\"step\": %lld,", &step) == 1 && step <= n_steps)
            hone_buffer_append(&kept, line, (size_t)(end + 1 - line));
    }
    if (status == HONE_OK && text.data && kept.length != text.length)
        status = hone_file_write_atomic(path, kept.data ? kept.data : "", kept.length, err);
    hone_buffer_clear(&text);
    hone_buffer_clear(&kept);
    free(path);
    return status;
}

static hone_status write_file(const char *folder, const char *name, const char *text, hone_error *err)
{
    char *path = hone_path_join(folder, name);
    hone_status status = text && path ? hone_file_write_atomic(path, text, strlen(text), err)
                                      : hone_fail(err, HONE_NO_MEMORY, "out of memory");
    free(path);
    return status;
}

/* The rows that a warning names get their text, so that the report needs no data file. */
static void add_texts(const hone_train_record *r, json_t *warnings)
{
    size_t i, j;
    json_t *warning, *row;
    json_array_foreach(warnings, i, warning)
    {
        json_array_foreach(json_object_get(warning, "rows"), j, row)
        {
            json_int_t line = json_integer_value(json_object_get(row, "line"));
            for (size_t k = 0; k < r->n_examples; k++) {
                const hone_train_example *e = &r->examples[k];
                if (e->line != line || !e->answer)
                    continue;
                json_object_set_new(row, "input", json_string(e->input ? e->input : ""));
                json_object_set_new(row, "answer", json_string(e->answer));
                break;
            }
        }
    }
}

static json_t *record_json(const hone_train_record *r)
{
    const hone_train_options *o = r->options;
    const hone_train_result *result = r->result;
    char now[32], template[65] = "";
    hone_clock_iso8601(now, sizeof now);
    hone_engine_template_hash(r->engine, template);
    json_t *record =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:i, s:f, s:f, s:f, s:i, s:f, s:f, s:f, s:I, s:s}",
                  "hone_version", HONE_VERSION, "finished", now, "base_sha256", hone_engine_model_hash(r->engine),
                  "run_fingerprint", r->fingerprint, "numerics_class", hone_engine_numerics_class(r->engine),
                  "template", hone_engine_template_name(r->engine), "examples", (json_int_t)r->n_examples, "rank",
                  o->rank, "alpha", o->alpha, "learning_rate", o->learning_rate, "epochs", o->epochs, "batch", o->batch,
                  "warmup_fraction", o->warmup_fraction, "clip_norm", o->clip_norm, "weight_decay", o->weight_decay,
                  "seed", (json_int_t)o->seed, "description", o->description ? o->description : "");
    json_t *more = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:s, s:s, s:f, s:s}", "template_sha256", template,
                             "data_sha256", r->data_hash, "instruction_set", hone_engine_isa(r->engine), "method",
                             hone_train_method_name(o->method), "layers", o->layers ? o->layers : "", "frozen",
                             o->frozen ? o->frozen : "", "rslora", o->rslora, "targets",
                             o->targets ? o->targets : "all", "rank_of", o->rank_of ? o->rank_of : "", "b_rate_ratio",
                             o->b_rate_ratio, "schedule", hone_schedule_name(o->schedule));
    json_t *outcome =
        json_pack("{s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:I}", "steps", (json_int_t)result->steps, "planned_steps",
                  (json_int_t)result->planned_steps, "whole_steps", (json_int_t)result->whole_steps, "tokens",
                  (json_int_t)result->tokens, "seconds", result->seconds, "score_seconds", result->score_seconds,
                  "final_loss", result->final_loss, "best_step", (json_int_t)result->best_step);
    if (record && more && outcome) {
        if (!isnan(result->best_score))
            json_object_set_new(outcome, "best_score", json_real(result->best_score));
        json_object_update(record, more);
        json_object_set(record, "result", outcome);
        json_object_set_new(record, "model", json_string(hone_engine_model_path(r->engine)));
        json_object_set_new(record, "threads", json_integer(hone_engine_threads(r->engine)));
        json_object_set_new(record, "peak_rss_bytes", json_integer((json_int_t)hone_peak_resident_bytes()));
        json_object_set_new(record, "select_rows", json_integer((json_int_t)o->n_select_rows));
        json_object_set_new(record, "general_text_version", json_integer(HONE_GENERAL_TEXT_VERSION));
        if (o->method == HONE_METHOD_FULL) {
            char method[48];
            hone_train_method_describe(o, method);
            json_object_set_new(record, "written", json_string(method));
        }
        if (o->data_path)
            json_object_set_new(record, "data", json_string(o->data_path));
        if (o->command)
            json_object_set_new(record, "command", json_string(o->command));
        if (o->patience)
            json_object_set_new(record, "patience", json_integer(o->patience));
        if (o->max_steps)
            json_object_set_new(record, "max_steps", json_integer(o->max_steps));
        if (o->max_seconds > 0)
            json_object_set_new(record, "max_seconds", json_real(o->max_seconds));
        if (o->search)
            json_object_set(record, "search", (json_t *)(uintptr_t)o->search);
    } else {
        json_decref(record);
        record = NULL;
    }
    json_decref(more);
    json_decref(outcome);
    return record;
}

static void write_head(const hone_train_record *r, const char *base, hone_buffer *b)
{
    const char *method = hone_train_method_name(r->options->method);
    if (r->options->method == HONE_METHOD_FULL) {
        hone_buffer_printf(b, "---\n%spipeline_tag: text-generation\ntags: [hone]\n---\n\n",
                           r->options->output.folder ? "library_name: transformers\n" : "");
        hone_buffer_printf(
            b,
            "# %s, its weights tuned\n\nTrained by hone %s on a CPU, on %zu examples. It is a model of its "
            "own:\n\n```sh\nhone run -m FOLDER%s\n```\n\n",
            base, HONE_VERSION, r->n_examples, hone_train_model_suffix(r->options));
        return;
    }
    hone_buffer_printf(b, "---\nlibrary_name: peft\npipeline_tag: text-generation\ntags: [lora, hone]\n---\n\n");
    hone_buffer_printf(
        b,
        "# A %s adapter for %s\n\nTrained by hone %s on a CPU, on %zu examples. Use it with the model it was "
        "trained on:\n\n```sh\nhone run -m %s --adapter FOLDER\n```\n\n",
        method, base, HONE_VERSION, r->n_examples, base);
}

static hone_status write_card(const hone_train_record *r, const json_t *warnings, hone_error *err)
{
    const hone_train_options *o = r->options;
    const char *path = hone_engine_model_path(r->engine), *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    char template[65] = "";
    hone_buffer b = {0};
    hone_engine_template_hash(r->engine, template);
    write_head(r, base, &b);
    hone_buffer_printf(&b, "| setting | value |\n|---|---|\n| method | %s |\n", hone_train_method_name(o->method));
    if (o->method != HONE_METHOD_FULL)
        hone_buffer_printf(&b, "| rank | %d |\n| alpha | %g%s |\n", o->rank, o->alpha,
                           o->rslora ? ", by the root of the rank (rsLoRA)" : "");
    const char *blocks = o->layers ? o->layers : o->frozen ? o->frozen : "";
    hone_buffer_printf(&b, "| layers | %s%s%s%s%s |\n", o->targets ? o->targets : "all",
                       o->layers   ? ", of blocks "
                       : o->frozen ? ", of all blocks but "
                                   : "",
                       blocks, o->rank_of ? "; other ranks: " : "", o->rank_of ? o->rank_of : "");
    hone_buffer_printf(&b,
                       "| learning rate | %g, %s, warm-up %g, B %g times as fast |\n| epochs | %g |\n"
                       "| batch | %d |\n| seed | %llu |\n\n",
                       o->learning_rate, hone_schedule_name(o->schedule), o->warmup_fraction, o->b_rate_ratio,
                       o->epochs, o->batch, (unsigned long long)o->seed);
    hone_buffer_printf(&b, "| result | value |\n|---|---|\n| steps | %lld of %lld |\n| final loss | %.4f |\n",
                       (long long)r->result->steps, (long long)r->result->whole_steps, r->result->final_loss);
    if (!isnan(r->result->best_score))
        hone_buffer_printf(&b, "| score of the kept checkpoint, on rows held out | %.4f (step %lld) |\n",
                           r->result->best_score, (long long)r->result->best_step);
    hone_buffer_printf(&b,
                       "\n| made from | sha256 |\n|---|---|\n| base | %s |\n| data | %s |\n| chat template | %s |\n",
                       hone_engine_model_hash(r->engine), r->data_hash, template);
    if (o->search)
        hone_buffer_printf(&b, "\nRate and rank were found by successive halving: %s.\n",
                           json_string_value(json_object_get(o->search, "why")));
    size_t i;
    json_t *warning;
    json_array_foreach(warnings, i, warning)
    {
        hone_buffer_printf(&b, "%s- %s.\n", i ? "" : "\n## To know about this run\n\n",
                           json_string_value(json_object_get(warning, "text")));
    }
    hone_status status =
        b.failed ? hone_fail(err, HONE_NO_MEMORY, "out of memory") : write_file(o->folder, "README.md", b.data, err);
    hone_buffer_clear(&b);
    return status;
}

hone_status hone_train_record_write(const hone_train_record *r, hone_error *err)
{
    json_t *warnings = NULL;
    hone_status status = hone_train_warnings_of_folder(r->options->folder, &warnings, err);
    if (status == HONE_OK)
        add_texts(r, warnings);
    if (status == HONE_OK)
        status = write_card(r, warnings, err);
    if (status != HONE_OK) {
        json_decref(warnings);
        return status;
    }
    json_t *record = record_json(r);
    if (record)
        json_object_set(record, "warnings", warnings);
    char *text = record ? json_dumps(record, JSON_INDENT(2)) : NULL;
    status = write_file(r->options->folder, "hone.json", text, err);
    free(text);
    json_decref(warnings);
    json_decref(record);
    return status;
}
