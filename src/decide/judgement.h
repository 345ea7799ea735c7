/* judgement.h - what the files of a verdict share: the standing of each approach, the comparisons judged, the outcome.
 * Internal to decide/. Everything lives in the comparison's arena.
 *
 *   pairs.c      scores by row, comparisons as one family
 *   luck.c       how far select settles who is the best
 *   standing.c   intervals, costs, constraints: who may be chosen, who costs less
 *   verdict.c    the rule of verdict.h, confidence
 *   confidence.c how sure, and why not surer
 *   payback.c    break-even, what would change the verdict
 *   summary.c    headline, summary
 *   reasons.c    because
 *   wording.c    numbers as text */
#ifndef HONE_DECIDE_JUDGEMENT_H
#define HONE_DECIDE_JUDGEMENT_H

#include "decide/cost.h"
#include "evidence/comparison.h"
#include "stats/bootstrap.h"

/* Shares of 1. A difference that matters, and the most that "take the cheaper one" may leave open. */
#define HONE_MATTERS 0.05
#define HONE_LEFT_OPEN 0.10
#define HONE_ERROR_RATE 0.05

typedef struct hone_standing {
    const double *scores; /* [n_test]; NULL when not tested */
    bool guesses;         /* the majority baseline: what guessing scores */
    bool too_slow, too_late;
    bool below_minimum; /* the whole interval lies below use.min_score */
    bool meets_minimum; /* the score itself reaches it, or nothing is asked for */
    bool sure_of_minimum;
    bool beats_guessing;
    bool eligible;
    bool running_known, setup_known;
    hone_cost_inputs inputs;
    hone_cost cost;
    double running_usd;      /* a request: operating and upkeep; hours of work only where the task states them */
    double stated_setup_usd; /* setting up without the hours of work that are assumed */
} hone_standing;

typedef struct hone_judged { /* a minus b */
    int a, b;
    bool differs, exact;
    double difference, low, high;
    double p, p_adjusted;
    int64_t only_a, only_b;
} hone_judged;

typedef enum hone_open_question { /* why there is not enough data */
                                  HONE_OPEN_NOTHING_TESTED,
                                  HONE_OPEN_NO_LEADER,  /* select names nobody */
                                  HONE_OPEN_DIFFERENCE, /* a cheaper approach may be as good, or much worse */
                                  HONE_OPEN_UNPLANNED,  /* a cheaper one of use was not compared with the leader */
                                  HONE_OPEN_DEARER,     /* a dearer one may be much better */
                                  HONE_OPEN_REFUTED, /* the test does not confirm what select named; another did better
                                                        there */
                                  HONE_OPEN_MINIMUM,
                                  HONE_OPEN_GUESSING
} hone_open_question;

typedef enum hone_dead_end { HONE_DEAD_CONSTRAINTS, HONE_DEAD_MINIMUM, HONE_DEAD_GUESSING } hone_dead_end;

typedef struct hone_lines {
    const char **items;
    size_t n, capacity;
} hone_lines;

typedef struct hone_judgement {
    hone_comparison *c;
    const hone_task_use *use;
    hone_standing *standing; /* [n_approaches] */
    const int64_t *cluster;  /* [n_test] or NULL */
    hone_judged *pairs;      /* the planned ones, in their order; no others are made */
    size_t n_pairs;
    double guess; /* what guessing scores */
    int leader;   /* -1: none */
    bool refuted; /* a planned comparison shows another to be better than the leader */
    int chosen;   /* -1: none */
    int other;    /* the approach that the verdict sets against the chosen one or the leader, or -1 */
    hone_open_question open;
    hone_dead_end dead_end;
    double rows_needed; /* test rows that would settle it; 0: not known */
    hone_lines because, flips_if;
    bool out_of_memory; /* remembered by the text functions */
} hone_judgement;

/* ---- pairs.c */
/* Rows with one group share the number of its first row; the others stand alone. *out: [n] in the arena, NULL when no
 * row has a group or the rows are not at hand. */
hone_status hone_pairs_clusters(const hone_rows *rows, size_t n, hone_arena *arena, const int64_t **out,
                                hone_error *err);
/* Scores by row and clusters; the planned pairs judged as one family. */
hone_status hone_pairs_judge_planned(hone_judgement *j, hone_error *err);
/* The comparison of a with b, turned round where needed. False when there is none. */
bool hone_pairs_find(const hone_judgement *j, int a, int b, hone_judged *out);
/* The highest score of those that were compared with `index`, guessing only where there is nothing else; not of the
 * family of `apart` unless that is -1. -1: none. */
int hone_pairs_best_compared(const hone_judgement *j, int index, int apart, hone_judged *pair);
/* Test rows that show HONE_MATTERS with 80 % power where rows differ as they do here; more than there are. */
int64_t hone_pairs_rows_needed(const hone_judgement *j, const hone_judged *pair);
/* Writes them into the comparison. */
void hone_pairs_publish(const hone_judgement *j);

/* ---- luck.c: P(best) and expected regret of each approach on select, by the paired bootstrap */
hone_status hone_luck(hone_judgement *j, hone_error *err);

/* ---- standing.c */
/* What training seeds leave open of its test score; nothing for an approach that has one or none. */
hone_seed_error hone_standing_seed_error(const hone_approach_result *a);
hone_status hone_standing_scores(hone_judgement *j, hone_error *err); /* fills missing scores and intervals */
hone_status hone_standing_costs(hone_judgement *j, hone_error *err);
/* The task prices tokens of a provider, and this approach sends it some: a baseline's are those of its own embedder. */
bool hone_standing_buys_tokens(const hone_judgement *j, const hone_approach_result *a);
/* Constraints, minimum, guessing. After the planned pairs were judged. */
void hone_standing_judge(hone_judgement *j);
/* Tested and within the hard constraints, whether or not it is shown to be of use. */
bool hone_standing_in_play(const hone_judgement *j, int index);
/* Every approach but guessing has 98 % or more. */
bool hone_standing_saturated(const hone_judgement *j);
/* Below 0: x costs less than y; 0: no difference worth the name, or nothing known. */
int hone_standing_cheaper(const hone_judgement *j, int x, int y);

/* ---- confidence.c: "high", "moderate", "low", and the reasons for less than high added to `because` */
const char *hone_confidence(hone_judgement *j);

/* ---- payback.c: break-even, what it means, flips_if */
hone_status hone_payback(hone_judgement *j, hone_error *err);

/* ---- summary.c: headline, summary */
void hone_summary(hone_judgement *j);

/* ---- reasons.c: because */
void hone_reasons(hone_judgement *j);

/* ---- wording.c: text in the comparison's arena, never NULL; "" when out of memory */
const char *hone_words(hone_judgement *j, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Adds a line unless `text` is empty. */
void hone_words_add(hone_judgement *j, hone_lines *lines, const char *text);
const char *hone_words_name(hone_judgement *j, int index);  /* "the logistic regression", "tuned" */
const char *hone_words_score(hone_judgement *j, int index); /* 0.824, with as many digits as its interval carries */
const char *hone_words_score_of(hone_judgement *j, double score, int index); /* a score, with the digits of that one */
const char *hone_words_interval(hone_judgement *j, int index);               /* 95 % interval 0.799 to 0.847 */
const char *hone_words_sentence_name(hone_judgement *j, int index);          /* the name where a sentence begins */
/* The score where it is set against a limit: enough digits to tell them apart. */
const char *hone_words_score_against(hone_judgement *j, int index, double limit);
/* "always giving the most frequent label scores 0.33", with the digits of approach `like`. */
const char *hone_words_guessing(hone_judgement *j, int like);
const char *hone_words_points(hone_judgement *j, double share); /* 5.1, 19; without a sign */
/* "2.4 to 7.8, p = 0.0002": the difference's interval and adjusted p, of a minus b or (flipped) b minus a. */
const char *hone_words_evidence(hone_judgement *j, const hone_judged *pair, bool flipped);
/* "5.1 points above the logistic regression (2.4 to 7.8, p = 0.0002)"; where nothing is shown, that is what it says. */
const char *hone_words_compared(hone_judgement *j, const hone_judged *pair);
const char *hone_words_usd(hone_judgement *j, double usd);
/* "$0.0014 against $0.94 per 1,000 requests": running costs of two, upkeep included where it is known; "" when not
 * measured. */
const char *hone_words_costs(hone_judgement *j, int index, int other);
const char *hone_words_ms(hone_judgement *j, double ms);
const char *hone_words_hours(hone_judgement *j, double hours);   /* 4 h */
const char *hone_words_count(hone_judgement *j, double count);   /* two significant digits: 180,000 */
const char *hone_words_rows(hone_judgement *j, double rows);     /* the same, rounded up */
const char *hone_words_exactly(hone_judgement *j, size_t n);     /* 1,600 */
const char *hone_words_minimum(hone_judgement *j);               /* use.min_score: 0.70 */
const char *hone_words_months(hone_judgement *j, double months); /* 4 weeks */

#endif
