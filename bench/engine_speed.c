/* engine_speed.c - measures what `hone bench` does not: answers from a set of labels, and many adapters in one batch.
 * For developers (built by `ninja engine_speed`); one JSON line on standard output.
 *
 *   engine_speed MODEL choices TASK [ROWS]        zero-shot answers to the first ROWS (40) train rows, cold, together
 *   engine_speed MODEL latency TASK [ROWS]        the same one by one, the prompt's common beginning being cached
 *   engine_speed MODEL adapters [SEQUENCES RANK]  decoding with one adapter for all, and with one for each
 *   engine_speed MODEL sampling [SEQUENCES]       decoding greedily, and with tokens drawn in several ways
 *   engine_speed MODEL prefill [TOKENS]           reading one prompt of so many tokens (4096)
 *
 * Adapters are random: time does not depend on their values. */
#include "base/clock.h"
#include "engine/engine.h"
#include "model/adapter.h"
#include "prompt/prompt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 512, DECODE = 64, RUNS = 5 };

static hone_error err;

static void check(hone_status status)
{
    if (status == HONE_OK)
        return;
    fprintf(stderr, "engine_speed: %s\n", err.message);
    exit(status == HONE_BAD_INPUT ? 2 : 3);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void measure_choices(hone_engine *engine, const char *folder, size_t n, bool one_by_one)
{
    static hone_token_list ids[MOST];
    static hone_request requests[MOST];
    static hone_response responses[MOST];
    hone_task *task;
    hone_choices *choices;
    check(hone_task_open(folder, &task, &err));
    check(hone_engine_create_choices(engine, task->labels, task->n_labels, &choices, &err));
    n = n < task->train.n ? n : task->train.n;
    for (size_t i = 0; i < n; i++) {
        json_t *messages;
        check(hone_prompt_messages(task, (hone_prompt_style){.instruction = true, .labels = true}, NULL, 0,
                                   &task->train.items[i], &messages, &err));
        check(hone_engine_encode_chat(engine, messages, true, &ids[i], &err));
        json_decref(messages);
        requests[i] = (hone_request){.ids = ids[i].data, .n_ids = ids[i].n, .choices = choices};
    }
    double start = hone_clock_seconds(), each[MOST];
    if (one_by_one) {
        for (size_t i = 0; i < n; i++) {
            double begin = hone_clock_seconds();
            check(hone_engine_run(engine, &requests[i], 1, &responses[i], NULL, &err));
            each[i] = hone_clock_seconds() - begin;
        }
    } else
        check(hone_engine_run(engine, requests, n, responses, NULL, &err));
    double seconds = hone_clock_seconds() - start;
    uint64_t mark = 14695981039346656037u; /* of all answers and their likelihoods, to compare two programs */
    hone_engine_statistics counted = hone_engine_get_statistics(engine);
    for (size_t i = 0; i < n; i++) {
        const unsigned char *bytes = (const unsigned char *)&responses[i].choice_logprob;
        for (size_t b = 0; b < sizeof(double); b++)
            mark = (mark ^ bytes[b]) * 1099511628211u;
        mark = (mark ^ (uint64_t)responses[i].choice) * 1099511628211u;
        hone_response_clear(&responses[i]);
        hone_token_list_clear(&ids[i]);
    }
    printf("{\"rows\": %zu, \"seconds\": %.3f, \"steps\": %lld, \"prompt_tokens_computed\": %lld, "
           "\"answer_tokens_computed\": %lld, ",
           n, seconds, (long long)counted.steps, (long long)(counted.prompt_tokens - counted.cached_tokens),
           (long long)(counted.rows - counted.prompt_tokens + counted.cached_tokens));
    if (one_by_one) {
        qsort(each, n, sizeof *each, compare_doubles);
        printf("\"median_seconds\": %.4f, \"p95_seconds\": %.4f, ", each[n / 2], each[n * 95 / 100]);
    }
    printf("\"answers\": \"%016llx\"}\n", (unsigned long long)mark);
    hone_choices_free(choices);
    hone_task_close(task);
}

/* Tokens a second while all sequences generate; prompts are one token, so they hardly count. */
static double decode_rate(hone_engine *engine, const hone_adapter *const *adapters, int n)
{
    static hone_request requests[MOST];
    static hone_response responses[MOST];
    static int32_t ids[MOST][2];
    double rates[RUNS];
    for (int run = 0; run < RUNS; run++) {
        for (int i = 0; i < n; i++) {
            ids[i][0] = 1000 + i;
            ids[i][1] = 2000 + run;
            requests[i] = (hone_request){.ids = ids[i], .n_ids = 2, .max_new_tokens = DECODE, .adapter = adapters[i]};
        }
        double start = hone_clock_seconds();
        check(hone_engine_run(engine, requests, (size_t)n, responses, NULL, &err));
        double seconds = hone_clock_seconds() - start;
        int64_t tokens = 0;
        for (int i = 0; i < n; i++) {
            tokens += (int64_t)responses[i].n_ids;
            hone_response_clear(&responses[i]);
        }
        rates[run] = (double)tokens / seconds;
    }
    qsort(rates, RUNS, sizeof *rates, compare_doubles);
    return rates[RUNS / 2];
}

static void measure_adapters(hone_engine *engine, int n, int rank)
{
    const hone_adapter *same[MOST], *each[MOST], *none[MOST] = {0};
    for (int i = 0; i < n; i++) {
        hone_adapter *a;
        check(hone_adapter_create(&hone_engine_get_model(engine)->config, rank, rank, &a, &err));
        hone_adapter_init(a, (uint64_t)i);
        hone_adapter_refresh(hone_engine_get_model(engine)->ops, a);
        hone_adapter_hash(a);
        check(hone_engine_add_adapter(engine, a, &err));
        each[i] = a;
        same[i] = each[0];
    }
    double base = decode_rate(engine, none, n), one = decode_rate(engine, same, n), many = decode_rate(engine, each, n);
    printf("{\"sequences\": %d, \"rank\": %d, \"base_tokens_per_second\": %.1f, \"one_adapter\": %.1f, "
           "\"own_adapters\": %.1f, \"own_over_one\": %.3f}\n",
           n, rank, base, one, many, many / one);
}

/* Every answer has DECODE tokens: what would end it is forbidden. */
static double sampled_rate(hone_engine *engine, hone_sampling sampling, int n)
{
    static hone_request requests[MOST];
    static hone_response responses[MOST];
    static int32_t ids[MOST][2];
    double rates[RUNS];
    hone_logit_bias bias[8];
    const hone_tokenizer *tokenizer = hone_engine_get_tokenizer(engine);
    for (int32_t id = 0; id < hone_tokenizer_size(tokenizer) && sampling.n_logit_bias < 8; id++)
        if (hone_tokenizer_is_end(tokenizer, id))
            bias[sampling.n_logit_bias++] = (hone_logit_bias){id, -100};
    sampling.logit_bias = bias;
    for (int run = 0; run < RUNS; run++) {
        for (int i = 0; i < n; i++) {
            ids[i][0] = 1000 + i;
            ids[i][1] = 2000 + run;
            sampling.stream = (uint32_t)i;
            requests[i] = (hone_request){.ids = ids[i], .n_ids = 2, .max_new_tokens = DECODE, .sampling = sampling};
        }
        double start = hone_clock_seconds();
        check(hone_engine_run(engine, requests, (size_t)n, responses, NULL, &err));
        double seconds = hone_clock_seconds() - start;
        int64_t tokens = 0;
        for (int i = 0; i < n; i++) {
            tokens += (int64_t)responses[i].n_ids;
            hone_response_clear(&responses[i]);
        }
        rates[run] = (double)tokens / seconds;
    }
    qsort(rates, RUNS, sizeof *rates, compare_doubles);
    return rates[RUNS / 2];
}

static void measure_sampling(hone_engine *engine, int n)
{
    static const struct {
        const char *name;
        hone_sampling sampling;
    } ways[] = {{"greedy", {0}},
                {"temperature_0.8", {.temperature = 0.8}},
                {"temperature_0.8_top_p_0.9", {.temperature = 0.8, .top_p = 0.9}},
                {"temperature_0.8_top_k_40", {.temperature = 0.8, .top_k = 40}},
                {"temperature_0.8_min_p_0.05", {.temperature = 0.8, .min_p = 0.05}}};
    printf("{\"sequences\": %d", n);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        printf(", \"%s\": %.1f", ways[i].name, sampled_rate(engine, ways[i].sampling, n));
    printf("}\n");
}

static void measure_prefill(hone_engine *engine, int n)
{
    int32_t *ids = malloc((size_t)n * sizeof *ids);
    double rates[RUNS];
    for (int run = 0; ids && run < RUNS; run++) {
        for (int i = 0; i < n; i++)
            ids[i] = 1000 + (i * 7 + run) % 1000; /* no run finds another's beginning */
        hone_request request = {.ids = ids, .n_ids = (size_t)n, .n_top = 1};
        hone_response response;
        double start = hone_clock_seconds();
        check(hone_engine_run(engine, &request, 1, &response, NULL, &err));
        rates[run] = n / (hone_clock_seconds() - start);
        hone_response_clear(&response);
    }
    qsort(rates, RUNS, sizeof *rates, compare_doubles);
    printf("{\"prompt_tokens\": %d, \"tokens_per_second\": %.1f, \"low\": %.1f, \"high\": %.1f}\n", n, rates[RUNS / 2],
           rates[0], rates[RUNS - 1]);
    free(ids);
}

int main(int argc, char **argv)
{
    hone_engine *engine;
    const char *mode = argc > 2 ? argv[2] : "";
    static const struct {
        const char *name;
        int n, most; /* the number that may follow, and the greatest */
        bool task;   /* a task's folder comes before it */
    } modes[] = {{"choices", 40, MOST, true},
                 {"latency", 40, MOST, true},
                 {"adapters", 32, MOST, false},
                 {"sampling", 32, MOST, false},
                 {"prefill", 4096, 1 << 20, false}};
    enum { N_MODES = sizeof modes / sizeof *modes };
    size_t m = 0;
    while (m < N_MODES && strcmp(mode, modes[m].name) != 0)
        m++;
    if (m == N_MODES || (modes[m].task && argc < 4)) {
        fprintf(stderr, "usage: engine_speed MODEL (choices|latency) TASK [ROWS] | adapters [SEQUENCES RANK] | "
                        "sampling [SEQUENCES] | prefill [TOKENS]\n");
        return 2;
    }
    int at = modes[m].task ? 4 : 3, n = argc > at ? atoi(argv[at]) : modes[m].n;
    if (n < 1 || n > modes[m].most) {
        fprintf(stderr, "engine_speed: 1 to %d\n", modes[m].most);
        return 2;
    }
    check(hone_engine_open(argv[1], NULL, &engine, &err));
    if (strcmp(mode, "adapters") == 0)
        measure_adapters(engine, n, argc > 4 ? atoi(argv[4]) : 16);
    else if (strcmp(mode, "sampling") == 0)
        measure_sampling(engine, n);
    else if (strcmp(mode, "prefill") == 0)
        measure_prefill(engine, n);
    else
        measure_choices(engine, argv[3], (size_t)n, strcmp(mode, "latency") == 0);
    hone_engine_close(engine);
    return 0;
}
