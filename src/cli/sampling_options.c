/* sampling_options.c - options of sampling become a hone_sampling. */
#include "cli/sampling_options.h"

#include "base/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void hone_cli_sampling_begin(hone_cli_sampling *s, hone_option *options, size_t *n)
{
    *s = (hone_cli_sampling){.top_p = 1, .typical_p = 1, .repetition_penalty = 1};
    const hone_option rows[HONE_N_SAMPLING_OPTIONS] = {
        {"temperature", 0, HONE_OPTION_NUMBER, &s->temperature, "T", "0 is greedy (default)"},
        {"top-k", 0, HONE_OPTION_INTEGER, &s->top_k, "K", "draw from the K most likely tokens (default 0: all)"},
        {"top-p", 0, HONE_OPTION_NUMBER, &s->top_p, "P", "from the most likely ones that hold P together (default 1)"},
        {"min-p", 0, HONE_OPTION_NUMBER, &s->min_p, "P",
         "from those with P times the greatest probability (default 0)"},
        {"typical", 0, HONE_OPTION_NUMBER, &s->typical_p, "P", "from the most typical ones that hold P (default 1)"},
        {"repetition-penalty", 0, HONE_OPTION_NUMBER, &s->repetition_penalty, "R",
         "above 1: less of what stands in prompt and answer (default 1)"},
        {"presence-penalty", 0, HONE_OPTION_NUMBER, &s->presence_penalty, "X",
         "-2 to 2, off the logits of tokens in the answer (default 0)"},
        {"frequency-penalty", 0, HONE_OPTION_NUMBER, &s->frequency_penalty, "X", "the same for each time they came"},
        {"logit-bias", 0, HONE_OPTION_LIST, &s->logit_bias, "ID=V",
         "add V, -100 to 100, to a token's logit (repeatable)"},
        {"seed", 0, HONE_OPTION_INTEGER, &s->seed, "S", "of the sampling (default 0)"},
    };
    memcpy(options + *n, rows, sizeof rows);
    *n += HONE_N_SAMPLING_OPTIONS;
}

static hone_status read_bias(const char *text, hone_logit_bias *out, hone_error *err)
{
    char *end;
    long id = strtol(text, &end, 10);
    if (end == text || *end != '=')
        return hone_fail(err, HONE_BAD_INPUT, "--logit-bias %s; it is written ID=V, for instance 42=-100", text);
    const char *value = end + 1;
    double v = strtod(value, &end);
    if (end == value || *end || !(v >= -100 && v <= 100))
        return hone_fail(err, HONE_BAD_INPUT, "--logit-bias %s; what is added is -100 to 100", text);
    *out = (hone_logit_bias){id < -1 || id > INT32_MAX ? -1 : (int32_t)id, (float)v};
    return HONE_OK;
}

hone_status hone_cli_sampling_read(hone_cli_sampling *s, int64_t n_vocab, hone_sampling *out, hone_error *err)
{
    /* To the engine 0 says "not set"; who writes it means something else. */
    const struct {
        const char *name;
        double value;
    } positive[] = {{"top-p", s->top_p}, {"typical", s->typical_p}, {"repetition-penalty", s->repetition_penalty}};
    for (size_t i = 0; i < sizeof positive / sizeof *positive; i++)
        if (positive[i].value == 0)
            return hone_fail(err, HONE_BAD_INPUT, "--%s 0; it is above 0, and 1 is off", positive[i].name);
    if (s->top_k < 0 || s->top_k > INT32_MAX)
        return hone_fail(err, HONE_BAD_INPUT, "--top-k %lld; it is 0 (off) or more", (long long)s->top_k);
    for (size_t i = 0; i < s->logit_bias.n; i++) {
        hone_status status = read_bias(s->logit_bias.items[i], &s->biases[i], err);
        if (status != HONE_OK)
            return status;
        for (size_t j = 0; j < i; j++)
            if (s->biases[j].id == s->biases[i].id)
                return hone_fail(err, HONE_BAD_INPUT, "--logit-bias names token %d twice", s->biases[i].id);
    }
    *out = (hone_sampling){.temperature = s->temperature,
                           .top_k = (int)s->top_k,
                           .top_p = s->top_p,
                           .min_p = s->min_p,
                           .typical_p = s->typical_p,
                           .repetition_penalty = s->repetition_penalty,
                           .presence_penalty = s->presence_penalty,
                           .frequency_penalty = s->frequency_penalty,
                           .logit_bias = s->biases,
                           .n_logit_bias = s->logit_bias.n,
                           .seed = (uint64_t)s->seed};
    hone_error why;
    hone_status status = hone_sampling_check(out, n_vocab, &why); /* its messages begin with the setting's name */
    return status == HONE_OK ? status : hone_fail(err, status, "--%s", why.message);
}

hone_status hone_cli_sampling_set(hone_cli_sampling *s, const char *name, const char *value, int64_t n_vocab,
                                  hone_error *err)
{
    hone_option rows[HONE_N_SAMPLING_OPTIONS];
    hone_cli_sampling changed;
    const char *names[HONE_N_SAMPLING_OPTIONS];
    size_t n = 0, n_names = 0;
    hone_cli_sampling_begin(&changed, rows, &n);
    changed = *s;
    for (size_t i = 0; i < n; i++) {
        if (rows[i].kind == HONE_OPTION_LIST)
            continue;
        names[n_names++] = rows[i].name;
        if (strcmp(rows[i].name, name) != 0)
            continue;
        char word[64], *argv[] = {word, NULL};
        hone_arguments arguments;
        bool help;
        if (snprintf(word, sizeof word, "--%s=%s", name, value) >= (int)sizeof word)
            return hone_fail(err, HONE_BAD_INPUT, "%s takes a number, not \"%s\"", name, value);
        hone_status status = hone_options_parse(&rows[i], 1, 1, argv, &arguments, &help, err);
        hone_sampling sampling;
        if (status == HONE_OK)
            status = hone_cli_sampling_read(&changed, n_vocab, &sampling, err);
        if (status == HONE_OK)
            *s = changed;
        return status;
    }
    const char *near = hone_suggest(name, names, n_names);
    return near ? hone_fail(err, HONE_BAD_INPUT, "there is no setting \"%s\" (did you mean %s?)", name, near)
                : hone_fail(err, HONE_BAD_INPUT, "there is no setting \"%s\"", name);
}
