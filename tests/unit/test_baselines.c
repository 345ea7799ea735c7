/* test_baselines.c - claims about the mathematics of the classical baselines: word vectors, nearest neighbours,
 * logistic regression.
 *
 * Expected values were computed with scikit-learn 1.9.1: TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True) and
 * LogisticRegression, on the texts below and on shared/peers/bank_intents (banking77, CC BY 4.0). */
#include "approach/lbfgs.h"
#include "approach/logistic.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/file.h"
#include "retrieve/tfidf.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const train_texts[] = {
    "Where is my card? My card has not arrived.",
    "The card was declined at the shop",
    "How do I top up my account",
    "Top-up failed, top up again!",
    "I want to change my PIN",
    "PIN change does not work: pin blocked",
    "\316\237\316\224\316\237\316\243 \316\243\316\237\316\246\316\237\316\243 stra\303\237e \303\211T\303\211 42nd x",
    "\304\260stanbul caf\303\251_au_lait \302\275 \331\243\331\244 \346\235\261\344\272\254 a b c",
};
static const int32_t train_labels[] = {0, 1, 2, 2, 3, 3, 4, 4};
static const char *const query_texts[] = {"my card has not arrived yet", "change the pin", "top up top up",
                                          "zzz unknown",
                                          "\316\277\316\264\316\277\317\202 \317\203\316\277\317\206\316\277\317\202"};
enum { N_TRAIN = 8, N_QUERY = 5 };

static void close_to(double value, double expected, double absolute)
{
    if (!(fabs(value - expected) <= absolute))
        fail_msg("%.17g is not within %g of %.17g", value, absolute, expected);
}

typedef struct fixture {
    hone_tfidf *tfidf;
    hone_sparse *train, *query;
} fixture;

static fixture make_fixture(void)
{
    fixture f;
    assert_int_equal(hone_tfidf_fit(train_texts, N_TRAIN, &f.tfidf, NULL), HONE_OK);
    assert_int_equal(hone_tfidf_transform(f.tfidf, train_texts, N_TRAIN, &f.train, NULL), HONE_OK);
    assert_int_equal(hone_tfidf_transform(f.tfidf, query_texts, N_QUERY, &f.query, NULL), HONE_OK);
    return f;
}

static void free_fixture(fixture f)
{
    hone_sparse_free(f.query);
    hone_sparse_free(f.train);
    hone_tfidf_free(f.tfidf);
}

typedef struct weighted_term {
    const char *term;
    double weight;
} weighted_term;

static void row_is(const hone_tfidf *tfidf, const hone_sparse *rows, size_t row, const weighted_term *expected,
                   size_t n)
{
    size_t from = rows->row_start[row];
    assert_int_equal(rows->row_start[row + 1] - from, n);
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(hone_tfidf_term(tfidf, rows->column[from + i]), expected[i].term);
        close_to(rows->value[from + i], expected[i].weight, 1e-14);
    }
}

static void test_word_vectors_equal_scikit_learn(void **state)
{
    (void)state;
    fixture f = make_fixture();
    assert_int_equal(hone_tfidf_terms(f.tfidf), 73);
    const weighted_term card[] = {
        {"arrived", 0.3551606411267275}, {"card", 0.2976523356983073},    {"card has", 0.3551606411267275},
        {"has", 0.3551606411267275},     {"has not", 0.3551606411267275}, {"my", 0.2568495436503549},
        {"my card", 0.3551606411267275}, {"not", 0.2976523356983073},     {"not arrived", 0.3551606411267275}};
    row_is(f.tfidf, f.query, 0, card, 9);
    const weighted_term pin[] = {
        {"change", 0.540442546068122}, {"pin", 0.540442546068122}, {"the", 0.6448594488714666}};
    row_is(f.tfidf, f.query, 1, pin, 3);
    const weighted_term top[] = {
        {"top", 0.5773502691896257}, {"top up", 0.5773502691896257}, {"up", 0.5773502691896257}};
    row_is(f.tfidf, f.query, 2, top, 3);
    row_is(f.tfidf, f.query, 3, NULL, 0);
    free_fixture(f);
}

static void test_words_are_unicode_words_in_lower_case(void **state)
{
    (void)state;
    fixture f = make_fixture();
    const double third = 1.0 / 3, w = 0.3779644730092272;
    const weighted_term greek[] = {{"42nd", third},
                                   {"stra\303\237e", third},
                                   {"stra\303\237e \303\251t\303\251", third},
                                   {"\303\251t\303\251", third},
                                   {"\303\251t\303\251 42nd", third},
                                   {"\316\277\316\264\316\277\317\202", third},
                                   {"\316\277\316\264\316\277\317\202 \317\203\316\277\317\206\316\277\317\202", third},
                                   {"\317\203\316\277\317\206\316\277\317\202", third},
                                   {"\317\203\316\277\317\206\316\277\317\202 stra\303\237e", third}};
    row_is(f.tfidf, f.train, 6, greek, 9); /* final sigma, as Python's lower() has it */
    const weighted_term mixed[] = {{"caf\303\251_au_lait", w},
                                   {"caf\303\251_au_lait \331\243\331\244", w},
                                   {"stanbul", w}, /* the dot of the Turkish I ends a one-letter word */
                                   {"stanbul caf\303\251_au_lait", w},
                                   {"\331\243\331\244", w},
                                   {"\331\243\331\244 \346\235\261\344\272\254", w},
                                   {"\346\235\261\344\272\254", w}};
    row_is(f.tfidf, f.train, 7, mixed, 7);
    free_fixture(f);
}

static void test_texts_without_words_are_an_error_and_broken_utf8_separates(void **state)
{
    (void)state;
    hone_error err;
    hone_tfidf *tfidf;
    const char *const none[] = {"a b c", "", "? !"};
    assert_int_equal(hone_tfidf_fit(none, 3, &tfidf, &err), HONE_BAD_INPUT);
    assert_null(tfidf);
    const char *const broken[] = {"one\xFFtwo \xC3"};
    hone_sparse *rows;
    assert_int_equal(hone_tfidf_fit(broken, 1, &tfidf, &err), HONE_OK);
    assert_int_equal(hone_tfidf_terms(tfidf), 3);
    assert_string_equal(hone_tfidf_term(tfidf, 1), "one two");
    assert_int_equal(hone_tfidf_transform(tfidf, NULL, 0, &rows, &err), HONE_OK);
    assert_int_equal(rows->n_rows, 0);
    hone_sparse_free(rows);
    hone_tfidf_free(tfidf);
}

static void test_nearest_rows_come_in_order_and_ties_by_index(void **state)
{
    (void)state;
    fixture f = make_fixture();
    static const size_t expected[N_QUERY][3] = {{0, 5, 1}, {5, 4, 1}, {3, 2, 0}, {0, 1, 2}, {6, 0, 1}};
    static const double cosine[N_QUERY][3] = {{0.813801062, 0.070788551, 0.067720145},
                                              {0.346149211, 0.321727972, 0.296403893},
                                              {0.739679520, 0.467766345, 0},
                                              {0, 0, 0},
                                              {0.577350269, 0, 0}};
    size_t index[10];
    double similarity[10];
    for (size_t q = 0; q < N_QUERY; q++) {
        assert_int_equal(hone_tfidf_nearest(f.tfidf, f.train, f.query, q, 3, index, similarity), 3);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(index[i], expected[q][i]);
            close_to(similarity[i], cosine[q][i], 1e-9);
        }
    }
    assert_int_equal(hone_tfidf_nearest(f.tfidf, f.train, f.query, 0, 10, index, similarity), N_TRAIN);
    assert_int_equal(hone_tfidf_nearest(f.tfidf, f.train, f.query, 0, 0, NULL, NULL), 0);
    free_fixture(f);
}

static double rosenbrock(void *context, const double *x, double *gradient)
{
    (void)context;
    double a = 1 - x[0], b = x[1] - x[0] * x[0];
    gradient[0] = -2 * a - 400 * x[0] * b;
    gradient[1] = 200 * b;
    return a * a + 100 * b * b;
}

static void test_lbfgs_finds_the_end_of_a_curved_valley(void **state)
{
    (void)state;
    /* Rosenbrock 1960: minimum 0 at (1, 1). SciPy's L-BFGS-B needs 38 iterations, 46 evaluations from here. */
    double x[] = {-1.2, 1};
    hone_lbfgs_result result;
    hone_lbfgs_options options = {.max_iterations = 200, .gradient_tolerance = 1e-8};
    assert_int_equal(hone_lbfgs_minimise(rosenbrock, NULL, 2, x, options, NULL, &result, NULL), HONE_OK);
    assert_true(result.converged);
    close_to(x[0], 1, 1e-6);
    close_to(x[1], 1, 1e-6);
    assert_in_range(result.evaluations, 20, 70);
}

static void test_logistic_probabilities_equal_scikit_learn(void **state)
{
    (void)state;
    static const double five[N_QUERY][5] = {{0.615472500, 0.066931752, 0.095200979, 0.116772175, 0.105622594},
                                            {0.063377748, 0.162474383, 0.105342907, 0.538569906, 0.130235056},
                                            {0.036813375, 0.038768092, 0.790526085, 0.062247964, 0.071644483},
                                            {0.115701031, 0.120661217, 0.220909790, 0.245105577, 0.297622385},
                                            {0.067793684, 0.070251229, 0.115424514, 0.125312777, 0.621217796}};
    static const double two[N_QUERY][2] = {{0.808366493, 0.191633507},
                                           {0.652456767, 0.347543233},
                                           {0.170256891, 0.829743109},
                                           {0.549562631, 0.450437369},
                                           {0.549562631, 0.450437369}};
    fixture f = make_fixture();
    hone_logistic *model;
    double p[N_QUERY * 5];
    hone_logistic_options options = {.c = 10, .max_iterations = 3000, .tolerance = 1e-9};
    assert_int_equal(hone_logistic_fit(f.train, train_labels, 5, options, NULL, &model, NULL), HONE_OK);
    assert_int_equal(hone_logistic_predict(model, f.query, NULL, p, NULL), HONE_OK);
    for (int i = 0; i < N_QUERY * 5; i++)
        close_to(p[i], five[i / 5][i % 5], 1e-6);
    assert_true(hone_logistic_converged(model));
    hone_logistic_free(model);

    const size_t first_four[] = {0, 1, 2, 3};
    const int32_t binary[] = {0, 0, 1, 1};
    hone_sparse *four;
    assert_int_equal(hone_sparse_select(f.train, first_four, 4, &four, NULL), HONE_OK);
    assert_int_equal(hone_logistic_fit(four, binary, 2, options, NULL, &model, NULL), HONE_OK);
    assert_int_equal(hone_logistic_predict(model, f.query, NULL, p, NULL), HONE_OK);
    for (int i = 0; i < N_QUERY * 2; i++)
        close_to(p[i], two[i / 2][i % 2], 1e-6);
    hone_logistic_free(model);
    hone_sparse_free(four);
    free_fixture(f);
}

static void test_logistic_on_dense_rows_equals_scikit_learn(void **state)
{
    (void)state;
    float dense[36];
    int32_t labels[12];
    for (int i = 0; i < 36; i++)
        dense[i] = (float)((((i / 3) * 7 + (i % 3) * 3) % 11) / 11.0);
    for (int i = 0; i < 12; i++)
        labels[i] = i % 3;
    hone_sparse *rows;
    hone_logistic *model;
    double p[36];
    hone_logistic_options options = {.c = 2, .max_iterations = 3000, .tolerance = 1e-10};
    assert_int_equal(hone_sparse_from_dense(dense, 12, 3, &rows, NULL), HONE_OK);
    assert_int_equal(hone_logistic_fit(rows, labels, 3, options, NULL, &model, NULL), HONE_OK);
    assert_int_equal(hone_logistic_predict(model, rows, NULL, p, NULL), HONE_OK);
    const double expected[] = {0.281229758, 0.193247518, 0.525522724, 0.168807842, 0.684804368, 0.146387789};
    for (int i = 0; i < 6; i++)
        close_to(p[i], expected[i], 1e-6);
    hone_logistic_free(model);
    hone_sparse_free(rows);
}

static void test_a_class_without_rows_has_probability_zero(void **state)
{
    (void)state;
    fixture f = make_fixture();
    int32_t labels[N_TRAIN], found[N_QUERY];
    double with_gap[N_QUERY * 8], without[N_QUERY * 5];
    for (int i = 0; i < N_TRAIN; i++)
        labels[i] = train_labels[i] + (train_labels[i] >= 2) + 1; /* 1 2 4 5 6 of 8 */
    hone_logistic *gap, *plain, *one;
    assert_int_equal(hone_logistic_fit(f.train, labels, 8, (hone_logistic_options){0}, NULL, &gap, NULL), HONE_OK);
    assert_int_equal(hone_logistic_fit(f.train, train_labels, 5, (hone_logistic_options){0}, NULL, &plain, NULL),
                     HONE_OK);
    assert_int_equal(hone_logistic_predict(gap, f.query, NULL, with_gap, NULL), HONE_OK);
    assert_int_equal(hone_logistic_predict(plain, f.query, NULL, without, NULL), HONE_OK);
    for (int q = 0; q < N_QUERY; q++) {
        assert_true(with_gap[q * 8] == 0 && with_gap[q * 8 + 3] == 0 && with_gap[q * 8 + 7] == 0);
        for (int k = 0; k < 5; k++)
            assert_true(with_gap[q * 8 + k + (k >= 2) + 1] == without[q * 5 + k]);
    }
    memset(labels, 0, sizeof labels);
    assert_int_equal(hone_logistic_fit(f.train, labels, 1, (hone_logistic_options){0}, NULL, &one, NULL), HONE_OK);
    assert_int_equal(hone_logistic_classify(one, f.query, NULL, found, NULL), HONE_OK);
    assert_int_equal(found[3], 0);
    hone_logistic_free(gap);
    hone_logistic_free(plain);
    hone_logistic_free(one);
    free_fixture(f);
}

static void test_logistic_refuses_what_it_cannot_fit(void **state)
{
    (void)state;
    fixture f = make_fixture();
    hone_error err;
    hone_logistic *model;
    hone_sparse *rows;
    int32_t labels[N_TRAIN] = {0, 1, 9};
    assert_int_equal(hone_logistic_fit(f.train, labels, 5, (hone_logistic_options){0}, NULL, &model, &err),
                     HONE_BAD_INPUT);
    assert_non_null(strstr(err.message, "row 2"));
    const float bad[] = {1, NAN};
    assert_int_equal(hone_sparse_from_dense(bad, 2, 1, &rows, NULL), HONE_OK);
    assert_int_equal(hone_logistic_fit(rows, train_labels, 5, (hone_logistic_options){0}, NULL, &model, &err),
                     HONE_BAD_INPUT);
    assert_int_equal(hone_logistic_fit(f.train, train_labels, 5, (hone_logistic_options){0}, NULL, &model, NULL),
                     HONE_OK);
    double p[10];
    assert_int_equal(hone_logistic_predict(model, rows, NULL, p, &err), HONE_BAD_INPUT);
    hone_logistic_free(model);
    hone_sparse_free(rows);
    free_fixture(f);
}

static void test_logistic_has_the_same_bits_with_any_thread_count(void **state)
{
    (void)state;
    enum { ROWS = 150, COLUMNS = 40, CLASSES = 7 };
    float *dense = calloc(ROWS * COLUMNS, sizeof *dense);
    int32_t labels[ROWS];
    for (int i = 0; i < ROWS * COLUMNS; i++)
        dense[i] = (float)(((i * 7919) % 1009) / 1009.0 - 0.5);
    for (int i = 0; i < ROWS; i++)
        labels[i] = (i * i) % CLASSES;
    hone_sparse *rows;
    assert_int_equal(hone_sparse_from_dense(dense, ROWS, COLUMNS, &rows, NULL), HONE_OK);
    static double first[ROWS * CLASSES], again[ROWS * CLASSES];
    for (int threads = 1; threads <= 5; threads += 2) {
        hone_thread_pool *pool;
        hone_logistic *model;
        assert_int_equal(hone_thread_pool_create(threads, &pool, NULL), HONE_OK);
        assert_int_equal(hone_logistic_fit(rows, labels, CLASSES, (hone_logistic_options){0}, pool, &model, NULL),
                         HONE_OK);
        assert_int_equal(hone_logistic_predict(model, rows, pool, threads == 1 ? first : again, NULL), HONE_OK);
        if (threads > 1)
            assert_memory_equal(first, again, sizeof first);
        hone_logistic_free(model);
        hone_thread_pool_free(pool);
    }
    hone_sparse_free(rows);
    free(dense);
}

/* What scikit-learn answers to the 500 rows of test500.jsonl after train2000.jsonl: two hexadecimal digits a row, the
 * place of the label in the sorted list of the 77. */
static const char logistic_answers[] =
    "3a101b0d4c1437150f444811251849362b36044a374415083b46373213174903363d3f140a23200b0d452038380f0e4a2805"
    "121829090c393003020f4026172822313b08322e21431209020607210c37191440210d28393f31342217081d3c20463c1319"
    "120e170e1d2e0a3c3a110c25491e1846352528063e29071e26301827021d2a2b103736053533224046394129351f05011549"
    "3a12291004011a1e4322321e4c10184a08213b3d130c1e10444c3d021d11332626144210433c07062e0821052a15461b081b"
    "2d00233111392c174847002d3f1e401c051a2b1d20021616001d154b29211e023c364907153b0d081522223931222337392d"
    "262103392b07461e142c3f29290e462a221a352b040906232642103c2c2832313d3a09190d0e020441231e16424601464625"
    "231149222601192e20070c0c243e0f35112d28340d2029101f422b3545261b2d29052014251a2e31023445310e291a461e2f"
    "3d1e3d443810291639142b110a3608473529361f0b230c12032d2b2010004111043a071201311d05281644160d062c2e4a1d"
    "130f3314240f281d0f01342c0420001100120e3e1e0c293243391b04421f261a05012c35060e2f0508224a0f3424231f1114"
    "070e2d06001305491034230c3d063b2c0e030f1e103b4a1c23292027253a43243d071b223c0c33442b442d492b0c03272e0f";
static const char nearest_answers[] =
    "3a101b0d161437150f443b173d3e49362b36494a372715083b4637324b1749033a2e15140a10200b0d45203938042b4a0b05"
    "1218290927393003023540011726223d003b322e21431224020607210c3719143d210d1e393f1e3444173137054b46391319"
    "121617271d312c043a110c25491e4a27353c38063e290c1e27370f012c1d2a2b103736051a332240463a4129351f0e2a2f49"
    "3a1226103c2c0f264322321e4c103b4a0821033d130c1e10444c42231d11332626140d140d3c07312e24211e1715461b241b"
    "2d002e311139283b4847062d3f263f1c051a0f1d2002322d061d104b2921260245364907151c0c381522223906224c2f393e"
    "262103102b06462640493f29290e462a161a1a2b04090623264210052c263242303a09040d0e0204411d261f424624464625"
    "231149331601190722072d0c3d3e1a35112d39370d20264106342b0a4a0f2e2d0f051010250f2e31023745310e2908461e4a"
    "3e1e3b440e10291639402b110a3644473529361f3323424c032d2b203800413b49410712010d1d47281644160d3e2c2e471d"
    "13353314200f381d0f01342c2120003500120e3e1e0c271e433c1c04421f261a05012c35060e2f0501334a1a0041151f111b"
    "0744240627130549290f23423d063b2c0e032626403b4a1a230c212c2547431c1a071b22040a271b2b442d492b0c03272f14";

typedef struct labelled {
    json_t **rows;
    const char **input, **output;
    size_t n;
} labelled;

static labelled read_rows(const char *name, size_t max)
{
    labelled data = {calloc(max, sizeof(json_t *)), calloc(max, sizeof(char *)), calloc(max, sizeof(char *)), 0};
    hone_buffer text = {0};
    char path[4096];
    snprintf(path, sizeof path, "%s/peers/bank_intents/%s", HONE_SHARED_DIR, name);
    assert_int_equal(hone_file_read(path, 0, &text, NULL), HONE_OK);
    for (char *save, *line = strtok_r(text.data, "\n", &save); line && data.n < max;
         line = strtok_r(NULL, "\n", &save)) {
        json_t *row = json_loads(line, 0, NULL);
        assert_non_null(row);
        data.input[data.n] = json_string_value(json_object_get(row, "input"));
        data.output[data.n] = json_string_value(json_object_get(row, "output"));
        data.rows[data.n++] = row;
    }
    hone_buffer_clear(&text);
    return data;
}

static void free_rows(labelled data)
{
    for (size_t i = 0; i < data.n; i++)
        json_decref(data.rows[i]);
    free(data.rows);
    free(data.input);
    free(data.output);
}

static int by_string(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static size_t distinct(const char **words, size_t n)
{
    size_t kept = 0;
    qsort(words, n, sizeof *words, by_string);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || strcmp(words[i], words[i - 1]) != 0)
            words[kept++] = words[i];
    return kept;
}

static int32_t place(const char *label, const char **labels, size_t n)
{
    const char **at = bsearch(&label, labels, n, sizeof *labels, by_string);
    return at ? (int32_t)(at - labels) : -1;
}

static int expected_answer(const char *answers, size_t row)
{
    char digits[3] = {answers[2 * row], answers[2 * row + 1], 0};
    return (int)strtol(digits, NULL, 16);
}

static void test_bank_intents_answers_agree_with_scikit_learn(void **state)
{
    (void)state;
    if (!hone_file_exists(HONE_SHARED_DIR "/peers/bank_intents/train2000.jsonl")) {
        print_message("skipped: %s is absent\n", HONE_SHARED_DIR "/peers/bank_intents");
        skip();
    }
    labelled train = read_rows("train2000.jsonl", 2000), test = read_rows("test500.jsonl", 500);
    assert_int_equal(train.n, 2000);
    assert_int_equal(test.n, 500);
    const char *labels[2000];
    memcpy(labels, train.output, sizeof labels);
    size_t n_labels = distinct(labels, 2000);
    assert_int_equal(n_labels, 77);
    int32_t truth[2000], found[500];
    for (size_t i = 0; i < 2000; i++)
        truth[i] = place(train.output[i], labels, n_labels);

    hone_thread_pool *pool;
    hone_tfidf *tfidf;
    hone_sparse *rows, *queries;
    hone_logistic *model;
    assert_int_equal(hone_thread_pool_create(2, &pool, NULL), HONE_OK);
    double start = hone_clock_seconds();
    assert_int_equal(hone_tfidf_fit(train.input, 2000, &tfidf, NULL), HONE_OK);
    assert_int_equal(hone_tfidf_transform(tfidf, train.input, 2000, &rows, NULL), HONE_OK);
    assert_int_equal(hone_tfidf_transform(tfidf, test.input, 500, &queries, NULL), HONE_OK);
    assert_int_equal(hone_tfidf_terms(tfidf), 9163);
    assert_int_equal(rows->row_start[2000], 40144);
    assert_int_equal(queries->row_start[500], 8153);
    double vectors = hone_clock_seconds();
    assert_int_equal(hone_logistic_fit(rows, truth, 77, (hone_logistic_options){.c = 10}, pool, &model, NULL), HONE_OK);
    assert_int_equal(hone_logistic_classify(model, queries, pool, found, NULL), HONE_OK);
    double fitted = hone_clock_seconds();
    int right = 0, same = 0, nearest_right = 0, nearest_same = 0;
    for (size_t i = 0; i < 500; i++) {
        size_t near[1];
        double similarity[1];
        hone_tfidf_nearest(tfidf, rows, queries, i, 1, near, similarity);
        right += strcmp(labels[found[i]], test.output[i]) == 0;
        same += found[i] == expected_answer(logistic_answers, i);
        nearest_right += strcmp(train.output[near[0]], test.output[i]) == 0;
        nearest_same += truth[near[0]] == expected_answer(nearest_answers, i);
    }
    print_message("logistic regression %.3f (%d of 500 answers as scikit-learn), nearest neighbour %.3f (%d); "
                  "vectors %.2f s, fit %.2f s, %d iterations, neighbours %.2f s\n",
                  right / 500.0, same, nearest_right / 500.0, nearest_same, vectors - start, fitted - vectors,
                  hone_logistic_iterations(model), hone_clock_seconds() - fitted);
    close_to(right / 500.0, 0.786, 0.002);
    close_to(nearest_right / 500.0, 0.586, 0.002);
    assert_in_range(same, 495, 500);
    assert_in_range(nearest_same, 499, 500);
    hone_logistic_free(model);
    hone_sparse_free(queries);
    hone_sparse_free(rows);
    hone_tfidf_free(tfidf);
    hone_thread_pool_free(pool);
    free_rows(train);
    free_rows(test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_word_vectors_equal_scikit_learn),
        cmocka_unit_test(test_words_are_unicode_words_in_lower_case),
        cmocka_unit_test(test_texts_without_words_are_an_error_and_broken_utf8_separates),
        cmocka_unit_test(test_nearest_rows_come_in_order_and_ties_by_index),
        cmocka_unit_test(test_lbfgs_finds_the_end_of_a_curved_valley),
        cmocka_unit_test(test_logistic_probabilities_equal_scikit_learn),
        cmocka_unit_test(test_logistic_on_dense_rows_equals_scikit_learn),
        cmocka_unit_test(test_a_class_without_rows_has_probability_zero),
        cmocka_unit_test(test_logistic_refuses_what_it_cannot_fit),
        cmocka_unit_test(test_logistic_has_the_same_bits_with_any_thread_count),
        cmocka_unit_test(test_bank_intents_answers_agree_with_scikit_learn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
