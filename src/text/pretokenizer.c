/* pretokenizer.c - the split rules, as PCRE2 patterns in one table.
 *
 * A rule is a list of patterns. The first cuts the text into its matches and what lies between them, the next cuts each
 * of these pieces again, and so on; a pattern sees one piece and nothing around it (so with "smollm" the space before a
 * digit is a word of its own: the digit was cut off first). The rules are those that the models were trained with,
 * under the names that llama.cpp's converter writes.
 *
 * Space is spelt out: PCRE2's \s under UCP also takes U+180E, which is no Unicode White_Space. */
#include "text/pretokenizer.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

enum { MAX_PATTERNS = 5 };

#define SPACE "\\t-\\r \\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}"
#define GAP                                                                                                            \
    "[" SPACE "]+(?![^" SPACE "])|[" SPACE "]+" /* a run of space; its last one is left for the word after it          \
                                                 */
#define SHORT_FORMS "'s|'t|'re|'ve|'m|'ll|'d"
#define GPT_2 SHORT_FORMS "| ?\\p{L}+| ?\\p{N}+| ?[^" SPACE "\\p{L}\\p{N}]+|" GAP
#define LLAMA_3(digits)                                                                                                \
    "(?i:" SHORT_FORMS ")|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits "| ?[^" SPACE "\\p{L}\\p{N}]+[\\r\\n]*|"              \
    "[" SPACE "]*[\\r\\n]+|" GAP
#define CJK "[\\x{4E00}-\\x{9FA5}\\x{0800}-\\x{4E00}\\x{AC00}-\\x{D7FF}]+"

typedef struct split_rule {
    const char *names; /* of tokenizer.ggml.pre, separated by spaces */
    const char *patterns[MAX_PATTERNS];
    bool whole_words;
} split_rule;

static const split_rule rules[] = {
    {"gpt-2 gpt2 phi-2 olmo mpt", {GPT_2}},
    {"smollm starcoder refact command-r", {"\\p{N}", GPT_2}},
    {"llama-bpe llama3 llama-v3", {LLAMA_3("\\p{N}{1,3}")}, .whole_words = true},
    {"qwen2 stablelm2 deepseek-r1-qwen", {LLAMA_3("\\p{N}")}},
    {"deepseek-coder", {"[\\r\\n]", "[" SPACE "]?\\p{L}+", "[" SPACE "]?\\p{P}+", CJK, "\\p{N}"}},
    {"default", {"[\\p{P}$+<=>^~|]+", GPT_2, "\\p{N}+", "[0-9]{3}"}},
};

struct hone_pretokenizer {
    pcre2_code *patterns[MAX_PATTERNS];
    int n_patterns;
    bool whole_words;
};

/* Whether a word of `names` is exactly the name. */
static bool is_among(const char *names, const char *name, size_t length)
{
    while (*names) {
        size_t n = strcspn(names, " ");
        if (n == length && memcmp(names, name, n) == 0)
            return true;
        names += n + (names[n] == ' ');
    }
    return false;
}

bool hone_pretokenizer_is_same_rule(const char *name, size_t length, const char *other)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (is_among(rules[i].names, name, length))
            return is_among(rules[i].names, other, strlen(other));
    return false;
}

static hone_status unknown_rule(const char *name, size_t length, hone_error *err)
{
    char known[512] = "";
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        strncat(known, " ", sizeof known - strlen(known) - 1);
        strncat(known, rules[i].names, sizeof known - strlen(known) - 1);
    }
    return hone_fail(err, HONE_UNSUPPORTED, "split rule \"%.*s\" (tokenizer.ggml.pre) is not one that hone has:%s",
                     (int)(length < 64 ? length : 64), name, known);
}

static hone_status compile(const char *pattern, pcre2_code **out, hone_error *err)
{
    int code;
    PCRE2_SIZE at;
    *out = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP, &code, &at, NULL);
    if (!*out)
        return hone_fail(err, HONE_NO_MEMORY, "split pattern: PCRE2 error %d at %zu of %s", code, (size_t)at, pattern);
    pcre2_jit_compile(*out, PCRE2_JIT_COMPLETE); /* where it fails, pcre2_match interprets */
    return HONE_OK;
}

hone_status hone_pretokenizer_create(const char *name, size_t length, hone_pretokenizer **out, hone_error *err)
{
    const split_rule *rule = NULL;
    *out = NULL;
    for (size_t i = 0; i < sizeof rules / sizeof *rules && !rule; i++)
        if (is_among(rules[i].names, name, length))
            rule = &rules[i];
    if (!rule)
        return unknown_rule(name, length, err);
    hone_pretokenizer *p = calloc(1, sizeof *p);
    if (!p)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for the split rule");
    p->whole_words = rule->whole_words;
    hone_status status = HONE_OK;
    for (int i = 0; i < MAX_PATTERNS && rule->patterns[i] && status == HONE_OK; i++) {
        status = compile(rule->patterns[i], &p->patterns[i], err);
        p->n_patterns += status == HONE_OK;
    }
    if (status != HONE_OK) {
        hone_pretokenizer_free(p);
        return status;
    }
    *out = p;
    return HONE_OK;
}

void hone_pretokenizer_free(hone_pretokenizer *p)
{
    if (!p)
        return;
    for (int i = 0; i < p->n_patterns; i++)
        pcre2_code_free(p->patterns[i]);
    free(p);
}

bool hone_pretokenizer_takes_whole_words(const hone_pretokenizer *p)
{
    return p->whole_words;
}

typedef struct splitting {
    const hone_pretokenizer *rule;
    pcre2_match_data *match;
    hone_word_function *word;
    void *context;
    hone_error *err;
} splitting;

/* Cuts valid UTF-8 by pattern `stage` and those after it. The depth of the recursion is the number of patterns. */
static hone_status split_from(const splitting *s, int stage, const char *text, size_t length)
{
    if (length == 0)
        return HONE_OK;
    if (stage == s->rule->n_patterns)
        return s->word(s->context, text, length, s->err);
    hone_status status = HONE_OK;
    size_t at = 0;
    while (at < length && status == HONE_OK) {
        int found =
            pcre2_match(s->rule->patterns[stage], (PCRE2_SPTR)text, length, at, PCRE2_NO_UTF_CHECK, s->match, NULL);
        if (found == PCRE2_ERROR_NOMATCH)
            return split_from(s, stage + 1, text + at, length - at);
        if (found < 0)
            return hone_fail(s->err, HONE_NO_MEMORY, "splitting a text of %zu bytes: PCRE2 error %d", length, found);
        const PCRE2_SIZE *span = pcre2_get_ovector_pointer(s->match);
        size_t from = span[0], to = span[1]; /* no pattern matches the empty string, so to > from >= at */
        status = split_from(s, stage + 1, text + at, from - at);
        if (status == HONE_OK)
            status = split_from(s, stage + 1, text + from, to - from);
        at = to;
    }
    return status;
}

hone_status hone_pretokenizer_split(const hone_pretokenizer *p, const char *text, size_t length,
                                    hone_word_function *word, void *context, hone_error *err)
{
    splitting s = {p, pcre2_match_data_create(1, NULL), word, context, err};
    if (!s.match)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for splitting a text of %zu bytes", length);
    hone_status status = HONE_OK;
    for (size_t at = 0; at < length && status == HONE_OK;) {
        size_t valid = 0, n;
        while (at + valid < length && (n = hone_utf8_next(text + at + valid, length - at - valid, NULL)) > 0)
            valid += n;
        status = split_from(&s, 0, text + at, valid);
        at += valid;
        size_t invalid = 0;
        while (at + invalid < length && hone_utf8_next(text + at + invalid, length - at - invalid, NULL) == 0)
            invalid++;
        if (status == HONE_OK && invalid > 0)
            status = word(context, text + at, invalid, err);
        at += invalid;
    }
    pcre2_match_data_free(s.match);
    return status;
}
