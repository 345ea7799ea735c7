/* made_comparison.h - a comparison that never happened, for tests of what judges and shows comparisons.
 *
 * MADE-UP DATA: eight approaches on 300 invented bank questions. Which rows an approach has right comes from counted
 * random numbers with the wanted rate (majority 0.013, nearest neighbour 0.59, ... tuned + prompt 0.84); the other
 * figures are round inventions. The first rows are hostile on purpose. */
#ifndef HONE_TESTS_MADE_COMPARISON_H
#define HONE_TESTS_MADE_COMPARISON_H

#include "base/rng.h"
#include "evidence/comparison.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MADE_ITEMS = 300, MADE_APPROACHES = 8, MADE_LABELS = 12 };

static const char *const made_labels[MADE_LABELS] = {
    "card_arrival",         "card_payment_fee_charged", "declined_cash_withdrawal",
    "exchange_rate",        "lost_or_stolen_card",      "pending_transfer",
    "pin_blocked",          "refund_not_showing_up",    "top_up_failed",
    "transfer_fee_charged", "verify_identity",          "wrong_exchange_rate_for_cash_withdrawal"};

static const char *const made_questions[MADE_LABELS] = {
    "When will my new card get here?",
    "Why did I pay a fee for paying with my card?",
    "The machine refused to give me cash this morning.",
    "Which exchange rate do you use?",
    "I cannot find my card since yesterday, what now?",
    ("My transfer has been waiting for two days. How long does this "
     "usually take, and is there anything that I can do about it?"),
    "I typed the wrong PIN three times.",
    "The shop says it refunded me, but I see nothing.",
    "My top-up did not go through.",
    "You charged me for a transfer to a friend.",
    "Why do I have to prove who I am?",
    "The rate for my withdrawal abroad looks wrong to me."};

/* Rows that would break a careless page, terminal or table. */
static const char *const made_hostile[] = {"</script><script>alert(1)</script>",
                                           "\" onmouseover=\"alert(1)\" x='",
                                           "right to left \xE2\x80\xAE override and \x1b[31mescape\x07 codes",
                                           "a | b | c `tick` **bold** [link](x) <b>tag</b> &amp; \r\nsecond line",
                                           "broken utf-8 \xC3\x28 \xF0\x9F here",
                                           "]]> <!-- --> <![CDATA[ {{7*7}} ${x}"};
enum { MADE_HOSTILE = sizeof made_hostile / sizeof *made_hostile };

typedef struct made_profile {
    const char *name;
    hone_family family;
    double rate, select;
    const char *description, *prompt, *adapter;
    double tokens_in, tokens_static, p50, busy, build, evaluation, per_1k, setup;
    int64_t labels;
} made_profile;

static const made_profile made_profiles[MADE_APPROACHES] = {
    {"majority", HONE_FAMILY_BASELINE, 0.013, 0.015, "answers the most frequent label of train", NULL, NULL, 0, 0,
     0.002, 2e-6, 0.001, 0.01, 0.0000001, 128, 1600},
    {"nearest neighbour", HONE_FAMILY_BASELINE, 0.59, 0.601, "TF-IDF vectors, cosine, the nearest training row's label",
     NULL, NULL, 0, 0, 0.31, 3e-4, 0.3, 0.4, 0.0000083, 128, 1600},
    {"TF-IDF + logistic regression", HONE_FAMILY_BASELINE, 0.79, 0.771,
     "words and pairs of words, L2 0.5 chosen on select", NULL, NULL, 0, 0, 0.05, 5e-5, 1.1, 0.3, 0.0000014, 128, 1600},
    {"zero-shot", HONE_FAMILY_PROMPT, 0.05, 0.052,
     "role, instruction and the list of labels; greedy, answers limited to the labels",
     "<|im_start|>system\nYou are a customer service assistant of a bank.<|im_end|>\n<|im_start|>user\nReply with the "
     "intent.\n"
     "Labels: card_arrival, exchange_rate, pin_blocked ...\n\nWhen will my new card get "
     "here?<|im_end|>\n<|im_start|>assistant\n",
     NULL, 512, 480, 410, 0.21, 0, 72, 0.0058, 8, 0},
    {"few-shot (10)", HONE_FAMILY_PROMPT, 0.11, 0.118, "ten demonstrations chosen on select",
     "<|im_start|>system\nYou are a customer service assistant of a bank.<|im_end|>\n<|im_start|>user\nWhere is my "
     "card?<|im_end|>\n"
     "<|im_start|>assistant\ncard_arrival<|im_end|>\n...\n",
     NULL, 730, 690, 520, 0.26, 95, 110, 0.0073, 12, 10},
    {"retrieved few-shot (10)", HONE_FAMILY_PROMPT, 0.62, 0.634, "the ten nearest training rows as demonstrations",
     "<|im_start|>user\nMy card has not come yet <\xE2\x80\xAEtag> & "
     "\"quoted\"<|im_end|>\n<|im_start|>assistant\ncard_arrival<|im_end|>\n...\n",
     NULL, 318, 24, 640, 0.45, 0.5, 160, 0.0125, 136, 1600},
    {"tuned", HONE_FAMILY_TUNED, 0.83, 0.828, "LoRA rank 16 on all linear layers, LR 1e-3, best of 3 epochs",
     "<|im_start|>user\nWhen will my new card get "
     "here?<|im_end|>\n<|im_start|>assistant\n",
     "made-up-intents/.hone/adapters/tuned", 24, 4, 92, 0.05, 560, 65, 0.0014, 131, 1600},
    {"tuned + prompt", HONE_FAMILY_TUNED, 0.84, 0.836, "the same with role and instruction in every row",
     "<|im_start|>system\nYou are a customer service assistant of a bank.<|im_end|>\n<|im_start|>user\nReply with the "
     "intent.\n\nWhen will my "
     "new card get here?<|im_end|>\n<|im_start|>assistant\n",
     "made-up-intents/.hone/adapters/tuned-prompt", 58, 32, 118, 0.07, 640, 88, 0.0019, 133, 1600},
};

static void made_task(hone_arena *arena, hone_task *task)
{
    static const char *const models[] = {"smollm2-135m"};
    *task = (hone_task){.arena = arena,
                        .folder = "examples/made-up intents",
                        .name = "made-up-intents",
                        .models = models,
                        .n_models = 1,
                        .output_kind = HONE_OUTPUT_LABEL,
                        .labels = made_labels,
                        .n_labels = MADE_LABELS,
                        .metric = "accuracy",
                        .use = {200000, 0.70, 300, NAN, 12, NAN, NAN, false, NULL, 0},
                        .prices = {0.10, 0.08, 80},
                        .work = {3, NAN, NAN, NAN, NAN}}; /* only the prompt's hours are stated */
    task->train.n = 1600;
    task->select_tune.n = task->select_name.n = 200;
    task->n_dropped_duplicates = 3;
    task->n_near_duplicates = 2;
    memset(task->train_hash, 'a', 64);
    memset(task->test_hash, 'b', 64);
    task->test.n = MADE_ITEMS;
    task->test.items = hone_arena_array(arena, MADE_ITEMS, sizeof(hone_row));
    for (size_t i = 0; i < MADE_ITEMS; i++) {
        char text[400];
        hone_row *row = &task->test.items[i];
        size_t label = (size_t)hone_rng_below((hone_rng_key){7, HONE_RNG_TEST, 1}, i, MADE_LABELS);
        if (i < MADE_HOSTILE)
            snprintf(text, sizeof text, "%s", made_hostile[i]);
        else
            snprintf(text, sizeof text, "%s%s (made-up question %zu)",
                     i % 37 == 0 ? "I have written to you about this already and nobody has "
                                   "answered me so far, which I find rather disappointing after all those years with "
                                   "you as my only bank. "
                                 : "",
                     made_questions[label], i + 1);
        row->input = hone_arena_strdup(arena, text);
        row->output = made_labels[label];
        row->file = "test.jsonl";
        row->line = (int64_t)i + 1;
        snprintf(row->id, sizeof row->id, "%032zx", i);
    }
}

static void made_outcomes(hone_arena *arena, const hone_task *task, size_t index, hone_approach_result *a)
{
    const made_profile *p = &made_profiles[index];
    a->outcomes = hone_arena_array(arena, MADE_ITEMS, sizeof(hone_outcome));
    size_t right = 0, parsed = 0;
    for (size_t i = 0; i < MADE_ITEMS; i++) {
        /* Rows differ in difficulty, so that approaches agree more often than chance. */
        double hard = hone_rng_uniform((hone_rng_key){7, HONE_RNG_TEST, 2}, i);
        double luck = hone_rng_uniform((hone_rng_key){7, HONE_RNG_TEST, 10 + (uint32_t)index}, i);
        hone_outcome *o = &a->outcomes[i];
        bool good = 0.6 * hard + 0.4 * luck < (p->rate < 0.2 ? p->rate : 0.1 + 0.8 * p->rate);
        const char *wrong =
            made_labels[hone_rng_below((hone_rng_key){8, HONE_RNG_TEST, (uint32_t)index}, i, MADE_LABELS)];
        o->answer = good ? task->test.items[i].output : wrong;
        good = o->answer == task->test.items[i].output;
        if (!good && p->family == HONE_FAMILY_PROMPT && i % 19 == 4) {
            o->answer = NULL;
            o->raw = "I would be happy to help you with <that>! Could you tell me \x1b[2J more about your card?";
        } else
            o->raw = o->answer;
        o->score = good ? 1 : 0;
        right += good;
        parsed += o->answer != NULL;
    }
    (void)right;
    a->strict_format_rate = (double)parsed / MADE_ITEMS;
}

/* Fills *c (and *task, which it borrows); everything else lives in `arena`. */
static void made_comparison(hone_arena *arena, hone_task *task, hone_comparison *c)
{
    static hone_pair pairs[3];
    static const char *warnings[] = {"3 train rows equal to a test row were dropped.",
                                     "1 label has fewer than 5 train rows: verify_identity."};
    static const char *because[] = {"the interval of the difference to the regression includes zero",
                                    "the best prompt is 22 points behind (14 to 29, p < 0.0001)"};
    static const char *flips[] = {"you serve more than 2 million requests a month (then: the logistic regression)",
                                  "labels change more often than every 3 weeks (then: retrieved few-shot)"};
    static hone_band bands[] = {{"price of a label", 0.04, 0.16, 92345, NAN},
                                {"price of an engineer's hour", 40, 160, 151000, 243000}};
    made_task(arena, task);
    *c = (hone_comparison){.arena = arena,
                           .task = task,
                           .model = "smollm2-135m",
                           .model_hash = "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc",
                           .numerics_class = "f32",
                           .isa = "AVX2",
                           .machine = "made-up processor, 2 threads",
                           .threads = 2,
                           .seed = 18446744073709551615ull,
                           .quick = true,
                           .quick_note = "300 of 1,000 test rows and one training seed; a full run uses all.",
                           .command = "hone compare --quick --seed 1 'examples/made-up intents'",
                           .started = "2000-01-01T12:00:00Z",
                           .total_seconds = 1803,
                           .n_test = MADE_ITEMS,
                           .n_approaches = MADE_APPROACHES,
                           .winner = 7,
                           .pairs = pairs,
                           .n_pairs = 3,
                           .detectable_difference = 0.08,
                           .test_openings = 2,
                           .peak_resident_bytes = 1288490189,
                           .warnings = warnings,
                           .n_warnings = 2};
    c->approaches = hone_arena_array(arena, MADE_APPROACHES, sizeof *c->approaches);
    for (size_t i = 0; i < MADE_APPROACHES; i++) {
        const made_profile *p = &made_profiles[i];
        double half = 1.96 * sqrt(p->rate * (1 - p->rate) / MADE_ITEMS) + 0.002;
        c->approaches[i] = (hone_approach_result){.name = p->name,
                                                  .family = p->family,
                                                  .description = p->description,
                                                  .prompt = p->prompt,
                                                  .adapter = p->adapter,
                                                  .select_tune_score = p->select + 0.004,
                                                  .select_name_score = p->select,
                                                  .tested = true,
                                                  .score = p->rate,
                                                  .ci_low = fmax(0, p->rate - half),
                                                  .ci_high = p->rate + half,
                                                  .tokens_in = p->tokens_in,
                                                  .tokens_out = p->tokens_in > 0 ? 5.2 : 0,
                                                  .tokens_static = p->tokens_static,
                                                  .latency_p50_ms = p->p50,
                                                  .latency_p95_ms = p->p50 * 1.6,
                                                  .latency_n = 40,
                                                  .busy_seconds_per_request = p->busy,
                                                  .build_seconds = p->build,
                                                  .train_tokens_per_second = p->adapter ? 412 : 0,
                                                  .evaluation_seconds = p->evaluation,
                                                  .labels_used = p->labels,
                                                  .cost_per_1k_usd = p->per_1k,
                                                  .cost_per_1k_provisioned_usd = 0.365,
                                                  .setup_usd = p->setup,
                                                  .setup_labels_usd = 0.08 * (double)p->labels,
                                                  .setup_compute_usd = 0.02,
                                                  .setup_work_usd = 720,
                                                  .sends_prompt = p->family == HONE_FAMILY_PROMPT || i == 7,
                                                  .work_hours = 9,
                                                  .change_usd = 368,
                                                  .change_hours = 3};
        made_outcomes(arena, task, i, &c->approaches[i]);
    }
    pairs[0] = (hone_pair){7, 2, 0.05, -0.008, 0.108, 0.041, 0.082, 41, 26, "exact McNemar", "no difference shown"};
    pairs[1] = (hone_pair){7, 5, 0.22, 0.144, 0.292, 1e-9, 3e-9, 88, 22, "exact McNemar", "better"};
    pairs[2] = (hone_pair){7, 6, 0.01, -0.031, 0.05, 0.61, 0.61, 14, 11, "exact McNemar", "no difference shown"};
    c->verdict = (hone_verdict){.kind = HONE_VERDICT_CHOOSE,
                                .choose = 7,
                                .headline = "Tune it.",
                                .summary = "tuned + prompt scores 0.840 on the locked test (95 % interval "
                                           "0.796-0.884), 22 points above the best prompt "
                                           "(14 to 29, p < 0.0001). Against the logistic regression no difference is "
                                           "shown (5.0 points, -0.8 to 10.8).",
                                .confidence = "moderate",
                                .because = because,
                                .n_because = 2,
                                .flips_if = flips,
                                .n_flips_if = 2,
                                .sensitivity = bands,
                                .n_sensitivity = 2,
                                .break_even_requests = 182345,
                                .break_even_against = 5};
}

#endif
