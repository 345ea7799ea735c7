/* adapter_targets.c - target patterns over PEFT's names (peft, tuners/tuners_utils.py: check_target_module_exists,
 * get_pattern_key). Patterns are foreign input: their matching is bounded. */
#include "model/adapter_targets.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_MATCH_STEPS = 100000, MOST_PATTERN_BYTES = 1000 };

hone_status hone_adapter_pattern_matches(const char *pattern, bool at_end, const char *name, bool *out, hone_error *err)
{
    char whole[MOST_PATTERN_BYTES + 32];
    int code;
    PCRE2_SIZE at;
    *out = false;
    if (strlen(pattern) > MOST_PATTERN_BYTES)
        return hone_fail(err, HONE_BAD_INPUT, "a pattern of %zu bytes; at most %d are possible", strlen(pattern),
                         MOST_PATTERN_BYTES);
    snprintf(whole, sizeof whole, at_end ? "^(?:.*\\.)?(?:%s)$" : "^(?:%s)$", pattern);
    pcre2_code *compiled = pcre2_compile((PCRE2_SPTR)whole, PCRE2_ZERO_TERMINATED, 0, &code, &at, NULL);
    if (!compiled) {
        PCRE2_UCHAR text[120];
        pcre2_get_error_message(code, text, sizeof text);
        return hone_fail(err, HONE_BAD_INPUT, "\"%.100s\" is not a regular expression: %s", pattern,
                         (const char *)text);
    }
    pcre2_match_data *match = pcre2_match_data_create_from_pattern(compiled, NULL);
    pcre2_match_context *context = pcre2_match_context_create(NULL);
    int found = PCRE2_ERROR_NOMEMORY;
    if (match && context) {
        pcre2_set_match_limit(context, MOST_MATCH_STEPS);
        found = pcre2_match(compiled, (PCRE2_SPTR)name, strlen(name), 0, 0, match, context);
    }
    pcre2_match_context_free(context);
    pcre2_match_data_free(match);
    pcre2_code_free(compiled);
    *out = found > 0;
    if (found >= 0 || found == PCRE2_ERROR_NOMATCH)
        return HONE_OK;
    return hone_fail(err, HONE_BAD_INPUT, "\"%.100s\" takes too long to match; simplify the pattern", pattern);
}

static const char *group_pattern(const char *targets)
{
    static const char *const groups[][2] = {
        {"all", "(.*\\.)?(q|k|v|o|gate|up|down)_proj"}, {"attention", ".*\\.self_attn\\..*"}, {"mlp", ".*\\.mlp\\..*"}};
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
        if (!targets || strcmp(targets, groups[i][0]) == 0)
            return groups[i][1];
    return NULL;
}

/* "q_proj,v_proj" names layers, whatever else is a pattern. */
static bool in_list(const char *list, const char *name)
{
    while (*list) {
        size_t n = strcspn(list, ",");
        if (n == strlen(name) && memcmp(list, name, n) == 0)
            return true;
        list += n + (list[n] == ',');
    }
    return false;
}

static bool is_list(const char *targets)
{
    return targets[strspn(targets, "abcdefghijklmnopqrstuvwxyz_,")] == 0;
}

/* The rank that "PATTERN=R;..." gives a layer; used[i] marks entries that matched something. */
static hone_status choose_rank(const hone_adapter_choice *choice, const char *name, int *rank, bool *used,
                               hone_error *err)
{
    *rank = choice->rank;
    const char *entry = choice->rank_of;
    for (int i = 0; entry && *entry && i < 64; i++) {
        size_t n = strcspn(entry, ";");
        char text[MOST_PATTERN_BYTES], *equals, *end;
        if (n >= sizeof text)
            return hone_fail(err, HONE_BAD_INPUT, "a rank pattern of %zu bytes; at most %d are possible", n,
                             MOST_PATTERN_BYTES - 1);
        memcpy(text, entry, n);
        text[n] = 0;
        equals = strrchr(text, '=');
        long value = equals ? strtol(equals + 1, &end, 10) : 0;
        if (!equals || equals == text || *end || value < 0 || value > 100000)
            return hone_fail(err, HONE_BAD_INPUT, "\"%.100s\" is not PATTERN=RANK, as in q_proj=8", text);
        *equals = 0;
        bool matches;
        hone_status status = hone_adapter_pattern_matches(text, true, name, &matches, err);
        if (status != HONE_OK)
            return status;
        used[i] |= matches;
        if (matches) {
            *rank = (int)value;
            return HONE_OK;
        }
        entry += n + (entry[n] == ';');
    }
    return HONE_OK;
}

static hone_status check_all_used(const char *rank_of, const bool *used, hone_error *err)
{
    for (int i = 0; rank_of && *rank_of && i < 64; i++) {
        size_t n = strcspn(rank_of, ";");
        if (!used[i])
            return hone_fail(err, HONE_BAD_INPUT,
                             "the rank pattern \"%.*s\" matches no layer that is adapted (layers are named as in "
                             "model.layers.0.self_attn.q_proj)",
                             n > 100 ? 100 : (int)n, rank_of);
        rank_of += n + (rank_of[n] == ';');
    }
    return HONE_OK;
}

hone_status hone_adapter_create_chosen(const hone_model_config *config, const hone_adapter_choice *choice,
                                       hone_adapter **out, hone_error *err)
{
    size_t n = (size_t)config->n_layers * HONE_N_LINEARS, chosen = 0;
    const char *group = group_pattern(choice->targets), *pattern = group ? group : choice->targets;
    bool list = !group && is_list(pattern), used[64] = {false};
    hone_adapter_module *modules = calloc(n, sizeof *modules);
    hone_status status = HONE_OK;
    *out = NULL;
    if (!modules)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for an adapter");
    if (choice->rank < 1)
        status = hone_fail(err, HONE_BAD_INPUT, "rank %d; it must be above 0", choice->rank);
    for (size_t i = 0; i < n && status == HONE_OK; i++) {
        hone_linear which = (hone_linear)(i % HONE_N_LINEARS);
        char name[128];
        bool matches = list && in_list(pattern, hone_linear_name(which));
        hone_adapter_module_name((int64_t)(i / HONE_N_LINEARS), which, name);
        if (!list)
            status = hone_adapter_pattern_matches(pattern, false, name, &matches, err);
        if (status != HONE_OK || !matches || (choice->layers && !choice->layers[i / HONE_N_LINEARS]))
            continue;
        chosen++;
        modules[i].alpha = choice->alpha;
        status = choose_rank(choice, name, &modules[i].rank, used, err);
    }
    if (status == HONE_OK && chosen == 0)
        status =
            hone_fail(err, HONE_BAD_INPUT,
                      "targets \"%.100s\" match no layer; they are all, attention, mlp, names such as "
                      "q_proj,v_proj (also k_proj, o_proj, gate_proj, up_proj, down_proj), or a regular expression "
                      "over names such as model.layers.0.self_attn.q_proj",
                      choice->targets);
    if (status == HONE_OK)
        status = check_all_used(choice->rank_of, used, err);
    if (status == HONE_OK)
        status = choice->dora_base
                     ? hone_adapter_create_dora(choice->dora_base, modules, choice->alpha, choice->rslora, out, err)
                     : hone_adapter_create_as(config, modules, choice->alpha, choice->rslora, out, err);
    free(modules);
    return status;
}
