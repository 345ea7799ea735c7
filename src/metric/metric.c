/* metric.c - the table of metrics. */
#include "metric/metric.h"

#include "metric/fold.h"
#include "metric/json_match.h"
#include "metric/label.h"
#include "metric/number.h"

#include <stdlib.h>
#include <string.h>

static hone_status no_memory(hone_error *err)
{
    return hone_fail(err, HONE_NO_MEMORY, "out of memory while scoring an answer");
}

static bool same_trimmed(const char *a, const char *b)
{
    size_t n, m;
    a = hone_trim(a, &n);
    b = hone_trim(b, &m);
    return n == m && memcmp(a, b, n) == 0;
}

static bool is_blank(const char *text)
{
    size_t length;
    hone_trim(text, &length);
    return length == 0;
}

/* Without the list of labels a longer answer cannot be told from a longer label, so only equality counts. */
static hone_status score_unlisted_label(const hone_metric_case *item, hone_metric_score *out, hone_error *err)
{
    char *answer = hone_fold_words(item->answer), *reference = hone_fold_words(item->reference);
    bool parsed = !is_blank(item->answer), ready = answer && reference;
    if (ready) {
        *out = (hone_metric_score){.parsed_strict = parsed, .parsed_lenient = parsed};
        out->strict = same_trimmed(item->answer, item->reference);
        out->lenient = out->strict > 0 || (*reference && strcmp(answer, reference) == 0);
    }
    free(answer);
    free(reference);
    return ready ? HONE_OK : no_memory(err);
}

static hone_status score_label(const hone_metric_case *item, hone_metric_score *out, hone_error *err)
{
    if (!item->labels || item->n_labels == 0)
        return score_unlisted_label(item, out, err);
    int64_t strict, lenient;
    hone_status status = hone_label_parse(item->answer, item->labels, item->n_labels, false, &strict, err);
    if (status == HONE_OK)
        status = hone_label_parse(item->answer, item->labels, item->n_labels, true, &lenient, err);
    if (status != HONE_OK)
        return status;
    *out = (hone_metric_score){.parsed_strict = strict >= 0, .parsed_lenient = lenient >= 0};
    out->strict = strict >= 0 && same_trimmed(item->labels[strict], item->reference);
    out->lenient = lenient >= 0 && same_trimmed(item->labels[lenient], item->reference);
    return HONE_OK;
}

static hone_status score_exact(const hone_metric_case *item, hone_metric_score *out, hone_error *err)
{
    char *answer = hone_fold_answer(item->answer), *reference = hone_fold_answer(item->reference);
    bool parsed = !is_blank(item->answer), ready = answer && reference;
    if (ready) {
        *out = (hone_metric_score){.parsed_strict = parsed, .parsed_lenient = parsed};
        out->strict = same_trimmed(item->answer, item->reference);
        out->lenient = out->strict > 0 || (*reference && strcmp(answer, reference) == 0);
    }
    free(answer);
    free(reference);
    return ready ? HONE_OK : no_memory(err);
}

static hone_status score_number(const hone_metric_case *item, hone_metric_score *out, hone_error *err)
{
    hone_decimal reference, strict, lenient;
    size_t length;
    const char *trimmed = hone_trim(item->answer, &length);
    if (!hone_decimal_find(item->reference, &reference))
        return hone_fail(err, HONE_BAD_INPUT, "the reference \"%.80s\" holds no number; metric \"number\" needs one",
                         item->reference);
    *out = (hone_metric_score){.parsed_strict = hone_decimal_parse(trimmed, length, &strict),
                               .parsed_lenient = hone_decimal_find(item->answer, &lenient)};
    out->strict = out->parsed_strict && hone_decimal_equal(&strict, &reference);
    out->lenient = out->parsed_lenient && hone_decimal_equal(&lenient, &reference);
    return HONE_OK;
}

static hone_status score_json_with(const hone_metric_case *item, bool fields, hone_metric_score *out, hone_error *err)
{
    json_t *reference = NULL, *strict = hone_json_read(item->answer), *lenient = NULL;
    hone_status status = HONE_OK;
    *out = (hone_metric_score){0};
    if (!(reference = hone_json_read(item->reference))) {
        status = hone_fail(err, HONE_BAD_INPUT, "the reference \"%.80s\" is not JSON; metric \"%s\" needs JSON",
                           item->reference, fields ? "json_fields" : "json");
        goto done;
    }
    lenient = strict ? json_incref(strict) : hone_json_find(item->answer);
    out->parsed_strict = strict != NULL;
    out->parsed_lenient = lenient != NULL;
    if (fields) {
        status = strict ? hone_json_field_f1(strict, reference, &out->strict, err) : HONE_OK;
        if (status == HONE_OK && lenient)
            status = hone_json_field_f1(lenient, reference, &out->lenient, err);
    } else {
        out->strict = strict && hone_json_same(strict, reference);
        out->lenient = lenient && hone_json_same(lenient, reference);
    }
done:
    json_decref(strict);
    json_decref(lenient);
    json_decref(reference);
    return status;
}

static hone_status score_json(const hone_metric_case *item, hone_metric_score *out, hone_error *err)
{
    return score_json_with(item, false, out, err);
}

static hone_status score_json_fields(const hone_metric_case *item, hone_metric_score *out, hone_error *err)
{
    return score_json_with(item, true, out, err);
}

static int by_string(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Cuts the text at its spaces: the words in order of their bytes. NULL when out of memory. */
static char **sorted_words(char *text, size_t *n)
{
    size_t most = strlen(text) / 2 + 1;
    char **words = malloc(most * sizeof *words), *save = NULL;
    *n = 0;
    if (!words)
        return NULL;
    for (char *word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save))
        words[(*n)++] = word;
    qsort(words, *n, sizeof *words, by_string);
    return words;
}

static double f1_of(size_t common, size_t n, size_t m)
{
    if (n == 0 || m == 0)
        return n == m ? 1.0 : 0.0;
    return 2.0 * (double)common / (double)(n + m);
}

static hone_status score_token_f1(const hone_metric_case *item, hone_metric_score *out, hone_error *err)
{
    char *texts[2] = {hone_fold_answer(item->answer), hone_fold_answer(item->reference)}, **words[2] = {0};
    size_t n[2] = {0}, common = 0;
    bool ready = texts[0] && texts[1];
    for (int i = 0; ready && i < 2; i++)
        ready = (words[i] = sorted_words(texts[i], &n[i])) != NULL;
    for (size_t i = 0, k = 0; ready && i < n[0] && k < n[1];) {
        int order = strcmp(words[0][i], words[1][k]);
        common += order == 0;
        i += order <= 0;
        k += order >= 0;
    }
    bool parsed = !is_blank(item->answer);
    if (ready)
        *out = (hone_metric_score){f1_of(common, n[0], n[1]), f1_of(common, n[0], n[1]), parsed, parsed};
    for (int i = 0; i < 2; i++) {
        free(words[i]);
        free(texts[i]);
    }
    return ready ? HONE_OK : no_memory(err);
}

static const hone_metric metrics[] = {
    {"label", "the answer is the right label", true, score_label},
    {"exact", "the answer is the reference text; lenient: case, punctuation and articles apart", true, score_exact},
    {"number", "the answer is the right number; lenient: the last number in it", true, score_number},
    {"json", "the answer is the same JSON, order of keys apart; lenient: JSON found inside it", true, score_json},
    {"json_fields", "F1 over the fields of the JSON", false, score_json_fields},
    {"token_f1", "F1 over the words of the text", false, score_token_f1},
};
static const struct {
    const char *other, *name;
} aliases[] = {{"accuracy", "label"}, {"exact_match", "exact"}, {"f1", "token_f1"}};
/* What may decide a task, by output kind: the word of task.yaml and the metric it stands for; the first is the default.
 * "accuracy" is the share of right answers; what right means, the kind says. */
static const struct {
    const char *kind;
    struct {
        const char *word, *metric;
    } choices[2];
} kinds[] = {
    {"label", {{"accuracy", "label"}}},
    {"choice", {{"accuracy", "label"}}},
    {"text", {{"token_f1", "token_f1"}, {"accuracy", "exact"}}},
    {"number", {{"accuracy", "number"}}},
    {"json", {{"accuracy", "json"}, {"json_fields", "json_fields"}}},
    {"sql", {{"accuracy", "exact"}}},
};
enum { N_KINDS = sizeof kinds / sizeof *kinds, N_CHOICES = sizeof kinds[0].choices / sizeof *kinds[0].choices };

const hone_metric *hone_metric_get(size_t index)
{
    return index < sizeof metrics / sizeof metrics[0] ? &metrics[index] : NULL;
}

const hone_metric *hone_metric_find(const char *name)
{
    for (size_t i = 0; i < sizeof aliases / sizeof aliases[0]; i++)
        if (strcmp(name, aliases[i].other) == 0)
            name = aliases[i].name;
    for (size_t i = 0; i < sizeof metrics / sizeof metrics[0]; i++)
        if (strcmp(name, metrics[i].name) == 0)
            return &metrics[i];
    return NULL;
}

const hone_metric *hone_metric_for_output(const char *kind, const char *word)
{
    for (size_t i = 0; i < N_KINDS; i++)
        for (size_t j = 0; strcmp(kind, kinds[i].kind) == 0 && j < N_CHOICES && kinds[i].choices[j].word; j++)
            if (!word || strcmp(word, kinds[i].choices[j].word) == 0)
                return hone_metric_find(kinds[i].choices[j].metric);
    return NULL;
}

const char *hone_metric_word(const char *kind, size_t index)
{
    for (size_t i = 0; i < N_KINDS; i++)
        if (strcmp(kind, kinds[i].kind) == 0)
            return index < N_CHOICES ? kinds[i].choices[index].word : NULL;
    return NULL;
}
