/* cmd_embed.c - `hone embed`: texts to vectors, line by line. */
#include "cli/commands.h"

#include "base/buffer.h"
#include "base/text.h"
#include "catalogue/models.h"
#include "cli/model_argument.h"
#include "model/embedder.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Texts are computed together until one of these is reached: enough that threads seldom wait for each other, and not so
 * much that nothing is seen for long. */
enum { LINES_AT_ONCE = 4096, BYTES_AT_ONCE = 256 << 10 };

static hone_status read_text(const char *line, size_t length, int64_t number, json_t **out, hone_error *err)
{
    json_error_t where;
    *out = json_loadb(line, length, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &where);
    if (!*out)
        return hone_fail(err, HONE_BAD_INPUT, "standard input:%lld: column %d: %s", (long long)number, where.column,
                         where.text);
    if (!json_is_string(json_object_get(*out, "text")))
        return hone_fail(err, HONE_BAD_INPUT, "standard input:%lld: no \"text\"; a line is {\"text\":\"...\"}",
                         (long long)number);
    return HONE_OK;
}

static hone_status embed_lines(hone_embedder *e, json_t *const *lines, size_t n, int64_t *n_cut, hone_error *err)
{
    hone_embed_text texts[LINES_AT_ONCE];
    int64_t n_tokens[LINES_AT_ONCE], dim = hone_embedder_dim(e);
    bool cut[LINES_AT_ONCE];
    float *vectors = malloc(n * (size_t)dim * sizeof *vectors);
    if (!vectors)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for %zu vectors", n);
    for (size_t i = 0; i < n; i++) {
        const json_t *text = json_object_get(lines[i], "text");
        texts[i] = (hone_embed_text){json_string_value(text), json_string_length(text)};
    }
    hone_status status = hone_embedder_run(e, texts, n, vectors, n_tokens, cut, err);
    hone_buffer out = {0};
    for (size_t i = 0; i < n && status == HONE_OK; i++) {
        *n_cut += cut[i];
        hone_buffer_puts(&out, "{\"embedding\":[");
        for (int64_t d = 0; d < dim; d++) {
            char text[33] = ",";
            size_t length = hone_format_float(vectors[(int64_t)i * dim + d], text + 1);
            hone_buffer_append(&out, text + (d == 0), length + (d > 0));
        }
        hone_buffer_printf(&out, "],\"tokens\":%lld}\n", (long long)n_tokens[i]);
        if (out.failed)
            status = hone_fail(err, HONE_NO_MEMORY, "out of memory for a line of output");
        else
            fwrite(out.data, 1, out.length, stdout);
        hone_buffer_reset(&out);
    }
    hone_buffer_clear(&out);
    free(vectors);
    return status;
}

static hone_status embed_input(hone_embedder *e, hone_error *err)
{
    char *line = NULL;
    size_t capacity = 0, n = 0, bytes = 0;
    ssize_t length;
    int64_t number = 0, n_cut = 0;
    json_t *lines[LINES_AT_ONCE];
    hone_status status = HONE_OK;
    for (bool more = true; more && status == HONE_OK;) {
        length = getline(&line, &capacity, stdin);
        more = length >= 0;
        number += more;
        if (more && strspn(line, " \t\r\n") < (size_t)length) {
            status = read_text(line, (size_t)length, number, &lines[n++], err);
            bytes += (size_t)length;
        }
        if (status == HONE_OK && n > 0 && (!more || n == LINES_AT_ONCE || bytes >= BYTES_AT_ONCE)) {
            status = embed_lines(e, lines, n, &n_cut, err);
            while (n > 0)
                json_decref(lines[--n]);
            bytes = 0;
        }
    }
    while (n > 0)
        json_decref(lines[--n]);
    free(line);
    if (status == HONE_OK && n_cut > 0)
        fprintf(stderr, "hone embed: %lld text%s longer than %lld tokens; only the beginning counted\n",
                (long long)n_cut, n_cut == 1 ? " was" : "s were", (long long)hone_embedder_most_tokens(e));
    return status;
}

static hone_status parse_pooling(const char *word, hone_pooling_choice *out, hone_error *err)
{
    static const struct {
        const char *word;
        hone_pooling_choice choice;
    } known[] = {{"mean", HONE_POOLING_MEAN}, {"first", HONE_POOLING_FIRST}, {"last", HONE_POOLING_LAST}};
    *out = HONE_POOLING_OF_MODEL;
    if (!word)
        return HONE_OK;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(word, known[i].word) == 0) {
            *out = known[i].choice;
            return HONE_OK;
        }
    return hone_fail(err, HONE_BAD_INPUT, "--pooling takes mean, first or last, not \"%s\"", word);
}

static int run(int argc, char **argv);

const hone_command hone_command_embed = {
    .name = "embed",
    .usage = "-m MODEL [--pooling HOW] < lines",
    .summary = "texts to vectors, line by line",
    .details =
        "Each line is {\"text\":\"...\"}; the answer is {\"embedding\":[...],\"tokens\":N}, a vector of length 1.\n"
        "MODEL is a sentence encoder (minilm-l6-v2, or a Hugging Face folder of a BERT encoder) or a language "
        "model,\nwhose hidden states after the output norm are pooled.",
    .run = run,
};

static int run(int argc, char **argv)
{
    const char *model = NULL, *pooling = NULL, *numerics = NULL;
    char *path = NULL;
    int64_t threads = 0;
    const hone_option options[] = {
        {"model", 'm', HONE_OPTION_TEXT, &model, "MODEL", "catalogue name, folder or GGUF file"},
        {"pooling", 0, HONE_OPTION_TEXT, &pooling, "HOW",
         "mean, first or last token (default: what the model says, else mean)"},
        {"threads", 't', HONE_OPTION_INTEGER, &threads, "N", "threads (default: all processors)"},
        HONE_NUMERICS_OPTION(&numerics),
    };
    hone_arguments arguments;
    int code =
        hone_options_begin(&hone_command_embed, options, sizeof options / sizeof *options, argc, argv, &arguments);
    if (code >= 0)
        return code;
    hone_error err = {.code = HONE_OK};
    hone_embedder_options how = {.n_threads = (int)threads};
    hone_embedder *embedder = NULL;
    hone_status status = parse_pooling(pooling, &how.pooling, &err);
    if (status == HONE_OK)
        status = hone_cli_read_numerics(numerics, &how.numerics, &err);
    if (status == HONE_OK && arguments.n)
        status = hone_fail(&err, HONE_BAD_INPUT, "unexpected argument \"%s\"; the lines go to standard input",
                           arguments.items[0]);
    if (status == HONE_OK && !model)
        status = hone_fail(&err, HONE_BAD_INPUT, "no model: say which with -m, for instance -m minilm-l6-v2");
    if (status == HONE_OK && (threads < 0 || threads > 256))
        status = hone_fail(&err, HONE_BAD_INPUT, "--threads %lld; it takes 0 (all) to 256", (long long)threads);
    if (status == HONE_OK)
        status = hone_model_resolve(model, &path, &err);
    if (status == HONE_OK)
        status = hone_embedder_open(path, &how, &embedder, &err);
    if (status == HONE_OK)
        hone_cli_warn_about_numerics(hone_embedder_ops(embedder));
    if (status == HONE_OK)
        status = embed_input(embedder, &err);
    hone_embedder_close(embedder);
    free(path);
    return status == HONE_OK ? HONE_EXIT_DONE : hone_command_failed(&hone_command_embed, &err);
}
