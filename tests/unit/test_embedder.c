/* test_embedder.c - texts to vectors: the real MiniLM against what transformers computed (tests/data/oracle_minilm.json
 * says which version), a tiny encoder against its forward pass in double precision written out here, the same-bits
 * rule, and files that are damaged or say absurd things.
 *
 * The limit of 1e-5 for the real model is that of the values' source, which has 7 decimals. */
#include "base/file.h"
#include "model/embedder.h"
#include "model/encoder.h"
#include "real_model.h"
#include "support/tiny_encoder.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "unit/temporary.h"

static hone_numerics numerics; /* of what is opened */

static hone_embedder *opened(const char *path, int threads, hone_pooling_choice pooling)
{
    hone_embedder *e;
    hone_error err = {0};
    hone_embedder_options options = {.n_threads = threads, .pooling = pooling, .numerics = numerics};
    if (hone_embedder_open(path, &options, &e, &err) != HONE_OK)
        fail_msg("%s: %s", path, err.message);
    return e;
}

static hone_embed_text text_of(const char *s)
{
    return (hone_embed_text){s, strlen(s)};
}

static void embed(hone_embedder *e, const char *const *texts, size_t n, float *out)
{
    hone_error err = {0};
    hone_embed_text list[256];
    assert_true(n <= 256);
    for (size_t i = 0; i < n; i++)
        list[i] = text_of(texts[i]);
    if (hone_embedder_run(e, list, n, out, NULL, NULL, &err) != HONE_OK)
        fail_msg("%s", err.message);
}

/* ---- the real model ---- */

static void test_minilm_equals_transformers(void **state)
{
    (void)state;
    const char *folder = getenv("HONE_TEST_EMBEDDER");
    if (!folder || !*folder || !hone_folder_exists(folder)) {
        fprintf(stderr, "skipped: set HONE_TEST_EMBEDDER to the folder of all-MiniLM-L6-v2 to run this test\n");
        skip();
    }
    json_error_t where;
    hone_error err = {0};
    json_t *oracle = json_load_file(HONE_SOURCE_DIR "/tests/data/oracle_minilm.json", 0, &where);
    json_t *rows = json_object_get(oracle, "rows"), *row;
    size_t index;
    assert_true(json_array_size(rows) == 10);
    hone_embedder *e = opened(folder, 2, HONE_POOLING_OF_MODEL);
    assert_int_equal(hone_embedder_dim(e), 384);
    assert_int_equal(hone_embedder_most_tokens(e), 256);
    float vector[384];
    json_array_foreach(rows, index, row)
    {
        const char *text = json_string_value(json_object_get(row, "text"));
        json_t *ids = json_object_get(row, "ids"), *expected = json_object_get(row, "embedding");
        hone_token_list found = {0};
        assert_int_equal(hone_embedder_encode(e, text_of(text), &found, NULL, &err), HONE_OK);
        assert_int_equal(found.n, json_array_size(ids));
        for (size_t i = 0; i < found.n; i++)
            assert_int_equal(found.data[i], json_integer_value(json_array_get(ids, i)));
        hone_token_list_clear(&found);
        embed(e, &text, 1, vector);
        assert_int_equal(json_array_size(expected), 384);
        for (size_t i = 0; i < 384; i++)
            if (!(fabs((double)vector[i] - json_number_value(json_array_get(expected, i))) <= 1e-5))
                fail_msg("\"%.40s\": value %zu is %.8f, transformers has %.8f", text, i, (double)vector[i],
                         json_number_value(json_array_get(expected, i)));
    }
    hone_embedder_close(e);
    json_decref(oracle);
}

/* ---- the tiny encoder in double precision ---- */

static tiny_tensor tensors[TINY_TENSORS];
static int n_tensors;

static const float *tensor(const char *format, int layer)
{
    char name[96];
    snprintf(name, sizeof name, format, layer);
    for (int i = 0; i < n_tensors; i++)
        if (strcmp(tensors[i].name, name) == 0)
            return tensors[i].data;
    fail_msg("no tensor %s", name);
    return NULL;
}

static void exact_linear(const char *weight, const char *bias, int layer, int n_out, int n_in, const double *x,
                         double *y)
{
    const float *w = tensor(weight, layer), *b = tensor(bias, layer);
    for (int o = 0; o < n_out; o++) {
        y[o] = (double)b[o];
        for (int i = 0; i < n_in; i++)
            y[o] += (double)w[o * n_in + i] * x[i];
    }
}

static void exact_norm(const char *weight, const char *bias, int layer, double *x)
{
    const float *w = tensor(weight, layer), *b = tensor(bias, layer);
    double mean = 0, variance = 0;
    for (int i = 0; i < TINY_DIM; i++)
        mean += x[i] / TINY_DIM;
    for (int i = 0; i < TINY_DIM; i++)
        variance += (x[i] - mean) * (x[i] - mean) / TINY_DIM;
    for (int i = 0; i < TINY_DIM; i++)
        x[i] = (x[i] - mean) / sqrt(variance + 1e-12) * (double)w[i] + (double)b[i];
}

/* Devlin et al. 2019 and Vaswani et al. 2017, token by token. */
static void exact_embedding(const int32_t *ids, int n, double *out)
{
    static double x[TINY_POSITIONS][TINY_DIM], q[TINY_POSITIONS][TINY_DIM], k[TINY_POSITIONS][TINY_DIM],
        v[TINY_POSITIONS][TINY_DIM];
    const int head = TINY_DIM / TINY_HEADS;
    for (int t = 0; t < n; t++) {
        for (int i = 0; i < TINY_DIM; i++)
            x[t][i] = (double)tensor("embeddings.word_embeddings.weight", 0)[ids[t] * TINY_DIM + i] +
                      (double)tensor("embeddings.position_embeddings.weight", 0)[t * TINY_DIM + i] +
                      (double)tensor("embeddings.token_type_embeddings.weight", 0)[i];
        exact_norm("embeddings.LayerNorm.weight", "embeddings.LayerNorm.bias", 0, x[t]);
    }
    for (int l = 0; l < TINY_LAYERS; l++) {
        for (int t = 0; t < n; t++) {
            exact_linear("encoder.layer.%d.attention.self.query.weight", "encoder.layer.%d.attention.self.query.bias",
                         l, TINY_DIM, TINY_DIM, x[t], q[t]);
            exact_linear("encoder.layer.%d.attention.self.key.weight", "encoder.layer.%d.attention.self.key.bias", l,
                         TINY_DIM, TINY_DIM, x[t], k[t]);
            exact_linear("encoder.layer.%d.attention.self.value.weight", "encoder.layer.%d.attention.self.value.bias",
                         l, TINY_DIM, TINY_DIM, x[t], v[t]);
        }
        for (int t = 0; t < n; t++) {
            double attended[TINY_DIM] = {0}, projected[TINY_DIM], wide[TINY_FF];
            for (int h = 0; h < TINY_HEADS; h++) {
                double p[TINY_POSITIONS], sum = 0;
                for (int s = 0; s < n; s++) {
                    double score = 0;
                    for (int i = 0; i < head; i++)
                        score += q[t][h * head + i] * k[s][h * head + i];
                    sum += p[s] = exp(score / sqrt((double)head));
                }
                for (int s = 0; s < n; s++)
                    for (int i = 0; i < head; i++)
                        attended[h * head + i] += p[s] / sum * v[s][h * head + i];
            }
            exact_linear("encoder.layer.%d.attention.output.dense.weight",
                         "encoder.layer.%d.attention.output.dense.bias", l, TINY_DIM, TINY_DIM, attended, projected);
            for (int i = 0; i < TINY_DIM; i++)
                x[t][i] += projected[i];
            exact_norm("encoder.layer.%d.attention.output.LayerNorm.weight",
                       "encoder.layer.%d.attention.output.LayerNorm.bias", l, x[t]);
            exact_linear("encoder.layer.%d.intermediate.dense.weight", "encoder.layer.%d.intermediate.dense.bias", l,
                         TINY_FF, TINY_DIM, x[t], wide);
            for (int i = 0; i < TINY_FF; i++)
                wide[i] = wide[i] * 0.5 * (1 + erf(wide[i] / sqrt(2)));
            exact_linear("encoder.layer.%d.output.dense.weight", "encoder.layer.%d.output.dense.bias", l, TINY_DIM,
                         TINY_FF, wide, projected);
            for (int i = 0; i < TINY_DIM; i++)
                x[t][i] += projected[i];
            exact_norm("encoder.layer.%d.output.LayerNorm.weight", "encoder.layer.%d.output.LayerNorm.bias", l, x[t]);
        }
    }
    double length = 0;
    for (int i = 0; i < TINY_DIM; i++) {
        out[i] = 0;
        for (int t = 0; t < n; t++)
            out[i] += x[t][i] / n;
        length += out[i] * out[i];
    }
    for (int i = 0; i < TINY_DIM; i++)
        out[i] /= sqrt(length);
}

static int begin(void **state)
{
    if (temporary_begin(state) != 0 || !tiny_encoder(temporary_folder))
        return -1;
    n_tensors = tiny_tensors(tensors);
    return 0;
}

static int end(void **state)
{
    tiny_free(tensors, n_tensors);
    return temporary_end(state);
}

static void test_the_forward_pass_is_the_papers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int32_t ids[24];
        int n;
    } cases[] = {{"My parcel is late!", {2, 13, 5, 6, 7, 1, 3}, 7}, /* "!" is no token of the vocabulary */
                 {"cards", {2, 8, 20, 3}, 4},
                 {"", {2, 3}, 2},
                 {"the the the the the the the the the the the the the the the the the",
                  {2, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 3},
                  19}};
    hone_embedder *e = opened(temporary_folder, 1, HONE_POOLING_OF_MODEL);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        hone_token_list ids = {0};
        double expected[TINY_DIM];
        float found[TINY_DIM];
        assert_int_equal(hone_embedder_encode(e, text_of(cases[c].text), &ids, NULL, NULL), HONE_OK);
        assert_int_equal(ids.n, cases[c].n);
        assert_memory_equal(ids.data, cases[c].ids, ids.n * sizeof *ids.data);
        hone_token_list_clear(&ids);
        exact_embedding(cases[c].ids, cases[c].n, expected);
        embed(e, &cases[c].text, 1, found);
        for (int i = 0; i < TINY_DIM; i++)
            if (!(fabs((double)found[i] - expected[i]) < 2e-6))
                fail_msg("\"%s\": value %d is %.9f, in double precision %.9f", cases[c].text, i, (double)found[i],
                         expected[i]);
    }
    hone_embedder_close(e);
}

/* ---- same bits ---- */

static const char *const words[] = {"parcel",  "is",      "late", "card", "lost",
                                    "account", "blocked", "the",  "my",   "please"};

/* Texts of 0 to 21 words: every length among 22 in a row, and texts 0 and 3 are the shortest and the longest. */
static void make_texts(char (*texts)[256], const char **list, int n)
{
    for (int i = 0; i < n; i++) {
        texts[i][0] = 0;
        for (int w = 0; w < i * 7 % 22; w++) {
            strcat(texts[i], words[(i + w * w) % 10]);
            strcat(texts[i], " ");
        }
        list[i] = texts[i];
    }
}

enum { MOST_TEXTS = 200, FEW_TEXTS = 20, STEP_TOKENS = 768 /* on all threads together: no more at once */ };

/* What is computed alone with one thread is the measure for all of them together with one, two and five threads, and
 * for every third of the first n_scalar with the scalar set, which is slow on purpose. Where only every alone_stride'th
 * is computed alone, the others' measure is all together with one thread. n texts have more than least_tokens tokens.
 */
static void check_same_bits(const char *path, int n, int64_t least_tokens, int alone_stride, int n_scalar)
{
    static char texts[MOST_TEXTS][256];
    const char *list[MOST_TEXTS];
    make_texts(texts, list, n);
    static const int threads[] = {1, 2, 5, 2};
    float *alone = NULL, *together = NULL;
    for (int i = 0; i < 4; i++) {
        int stride = i == 3 ? 3 : 1, n_now = 0;
        if (i == 3)
            setenv("HONE_CPU", "scalar", 1);
        hone_embedder *e = opened(path, threads[i], HONE_POOLING_MEAN);
        unsetenv("HONE_CPU");
        size_t dim = (size_t)hone_embedder_dim(e);
        hone_embed_text now[MOST_TEXTS];
        int64_t n_tokens[MOST_TEXTS], total = 0;
        if (!alone) {
            alone = malloc((size_t)n * dim * sizeof *alone);
            together = malloc((size_t)n * dim * sizeof *together);
            embed(e, list, (size_t)n, alone);
            for (int t = 0; t < n; t += alone_stride)
                embed(e, &list[t], 1, alone + (size_t)t * dim);
        }
        for (int t = 0; t < (i == 3 ? n_scalar : n); t += stride)
            now[n_now++] = text_of(list[t]);
        /* few texts are spread over threads in another way than many */
        for (int part = n_now > FEW_TEXTS ? 0 : 1; part < 2; part++) {
            int n_part = part == 0 ? FEW_TEXTS : n_now;
            total = 0;
            assert_int_equal(hone_embedder_run(e, now, (size_t)n_part, together, n_tokens, NULL, NULL), HONE_OK);
            for (int t = 0; t < n_part; t++) {
                const float *measure = alone + (size_t)(t * stride) * dim, *found = together + (size_t)t * dim;
                int64_t at = first_difference(measure, found, (int64_t)dim);
                total += n_tokens[t];
                if (at >= 0)
                    fail_msg("%d threads, round %d, %d texts: text %d differs in value %lld", threads[i], i, n_part,
                             t * stride, (long long)at);
            }
        }
        assert_true(i == 3 ? n_now >= 2 : total > least_tokens);
        hone_embedder_close(e);
    }
    free(alone);
    free(together);
}

static void test_same_bits_alone_together_and_with_any_thread_count(void **state)
{
    (void)state;
    check_same_bits(temporary_folder, MOST_TEXTS, STEP_TOKENS, 1, 60);
}

static void test_the_same_in_class_bf16(void **state)
{
    (void)state;
    numerics = HONE_NUMERICS_BF16;
    check_same_bits(temporary_folder, MOST_TEXTS, STEP_TOKENS, 1, 60);
    numerics = HONE_NUMERICS_F32;
}

/* Products are rounded to 8 bits of mantissa: near the f32 vector, and another one. */
static void test_vectors_of_class_bf16_are_near_those_of_f32(void **state)
{
    (void)state;
    static char texts[MOST_TEXTS][256];
    const char *list[MOST_TEXTS];
    float *vectors[2];
    char hash[2][65];
    size_t dim = 0;
    make_texts(texts, list, FEW_TEXTS);
    for (int i = 0; i < 2; i++) {
        numerics = i ? HONE_NUMERICS_BF16 : HONE_NUMERICS_F32;
        hone_embedder *e = opened(temporary_folder, 2, HONE_POOLING_OF_MODEL);
        dim = (size_t)hone_embedder_dim(e);
        vectors[i] = malloc(FEW_TEXTS * dim * sizeof *vectors[i]);
        embed(e, list, FEW_TEXTS, vectors[i]);
        assert_int_equal(hone_embedder_hash(e, hash[i], NULL), HONE_OK);
        hone_embedder_close(e);
    }
    numerics = HONE_NUMERICS_F32;
    for (size_t t = 0; t < FEW_TEXTS; t++) {
        double product = 0, worst = 0;
        for (size_t k = t * dim; k < (t + 1) * dim; k++) {
            product += (double)vectors[0][k] * (double)vectors[1][k];
            worst = fmax(worst, fabs((double)vectors[0][k] - (double)vectors[1][k]));
        }
        assert_true(product > 0.999 && worst > 0);
    }
    assert_string_not_equal(hash[0], hash[1]);
    free(vectors[0]), free(vectors[1]);
}

static void test_same_bits_for_the_states_of_a_language_model(void **state)
{
    (void)state;
    const char *path = hone_test_model();
    if (!path)
        skip();
    check_same_bits(path, 50, 500, 3, 4); /* 3 and 22 have no common divisor: alone, too, every length */
}

/* A causal model's first state knows only the first token; its last one knows all. */
static void test_pooling_takes_the_token_it_names(void **state)
{
    (void)state;
    const char *path = hone_test_model();
    static const char *const texts[] = {"The parcel is late", "The card was lost"};
    if (!path)
        skip();
    hone_embedder *first = opened(path, 2, HONE_POOLING_FIRST), *last = opened(path, 2, HONE_POOLING_LAST);
    int64_t dim = hone_embedder_dim(first);
    float *a = calloc((size_t)(2 * dim), sizeof *a), *b = calloc((size_t)(2 * dim), sizeof *b);
    embed(first, texts, 2, a);
    embed(last, texts, 2, b);
    assert_true(same_bits(a, a + dim, dim));
    assert_false(same_bits(b, b + dim, dim));
    double length = 0;
    for (int64_t i = 0; i < dim; i++)
        length += (double)a[i] * (double)a[i];
    assert_float_equal(length, 1, 1e-5);
    free(a);
    free(b);
    hone_embedder_close(first);
    hone_embedder_close(last);
}

/* ---- long texts ---- */

static void test_what_is_too_long_is_cut_and_told(void **state)
{
    (void)state;
    char text[1024] = "";
    for (int i = 0; i < 40; i++)
        strcat(text, "late ");
    hone_embed_text list[] = {text_of(text), text_of("late card")};
    float vectors[2 * TINY_DIM], shorter[TINY_DIM];
    int64_t n_tokens[2];
    bool cut[2];
    hone_embedder *e = opened(temporary_folder, 1, HONE_POOLING_OF_MODEL);
    assert_int_equal(hone_embedder_run(e, list, 2, vectors, n_tokens, cut, NULL), HONE_OK);
    assert_true(cut[0]);
    assert_false(cut[1]);
    assert_int_equal(n_tokens[0], TINY_POSITIONS);
    assert_int_equal(n_tokens[1], 4);
    text[5 * (TINY_POSITIONS - 2)] = 0; /* what fits between [CLS] and [SEP] */
    const char *rest = text;
    embed(e, &rest, 1, shorter);
    assert_true(same_bits(vectors, shorter, TINY_DIM));
    hone_embedder_close(e);
}

static void test_a_word_of_more_than_a_hundred_characters_is_unknown(void **state)
{
    (void)state;
    char text[128] = "late";
    hone_embedder *e = opened(temporary_folder, 1, HONE_POOLING_OF_MODEL);
    for (int n = 100; n <= 101; n++) {
        hone_token_list ids = {0};
        text[4] = 0;
        while ((int)strlen(text) < n)
            strcat(text, "s"); /* late ##s ##s ... */
        assert_int_equal(hone_embedder_encode(e, text_of(text), &ids, NULL, NULL), HONE_OK);
        assert_int_equal(ids.data[1], n == 100 ? 7 : 1);
        hone_token_list_clear(&ids);
    }
    hone_embedder_close(e);
}

/* ---- damaged and absurd files ---- */

static void refused(const char *what, hone_status expected, const char *says)
{
    hone_embedder *e = NULL;
    hone_error err = {0};
    hone_status status = hone_embedder_open(temporary_folder, NULL, &e, &err);
    if (status != expected)
        fail_msg("%s: status %d where %d is expected: %s", what, status, expected, err.message);
    assert_null(e);
    if (!strstr(err.message, says) || !strstr(err.message, temporary_folder))
        fail_msg("%s: the message is \"%s\" and should name the folder and \"%s\"", what, err.message, says);
}

/* TINY_CONFIG with one text replaced by another. */
static void write_config(const char *from, const char *to)
{
    char text[1024], *at;
    snprintf(text, sizeof text, "%s", TINY_CONFIG);
    at = strstr(text, from);
    assert_non_null(at);
    char rest[1024];
    snprintf(rest, sizeof rest, "%s", at + strlen(from));
    snprintf(at, sizeof text - (size_t)(at - text), "%s%s", to, rest);
    temporary_file("config.json", text);
}

static void test_a_bad_configuration_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
        hone_status status;
        const char *says;
    } cases[] = {
        {"\"bert\"", "\"roberta\"", HONE_UNSUPPORTED, "\"model_type\" is roberta"},
        {"\"gelu\"", "\"gelu_new\"", HONE_UNSUPPORTED, "\"hidden_act\" is gelu_new"},
        {"\"num_hidden_layers\": 2", "\"num_hidden_layers\": 0", HONE_BAD_FORMAT, "from 1 to 256"},
        {"\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1000000000000", HONE_BAD_FORMAT, "from 1 to 256"},
        {"\"num_hidden_layers\": 2", "\"layers\": 2", HONE_BAD_FORMAT, "\"num_hidden_layers\" is missing"},
        {"\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3", HONE_BAD_FORMAT,
         "\"encoder.layer.2.attention.self.query.weight\" is missing"},
        {"\"hidden_size\": 32", "\"hidden_size\": -32", HONE_BAD_FORMAT, "\"hidden_size\" must be a whole number"},
        {"\"hidden_size\": 32", "\"hidden_size\": 48", HONE_UNSUPPORTED, "do not divide into 2 heads"},
        {"\"hidden_size\": 32", "\"hidden_size\": 64", HONE_BAD_FORMAT, "config.json makes it 24 x 64"},
        {"\"num_attention_heads\": 2", "\"num_attention_heads\": 3", HONE_UNSUPPORTED, "do not divide into 3 heads"},
        {"\"num_attention_heads\": 2", "\"num_attention_heads\": \"2\"", HONE_BAD_FORMAT, "must be a whole number"},
        {"\"intermediate_size\": 48", "\"intermediate_size\": 49", HONE_BAD_FORMAT, "config.json makes it 49 x 32"},
        {"\"vocab_size\": 24", "\"vocab_size\": 25", HONE_BAD_FORMAT, "config.json makes it 25 x 32"},
        {"\"max_position_embeddings\": 24", "\"max_position_embeddings\": 2", HONE_BAD_FORMAT, "no room between"},
        {"\"layer_norm_eps\": 1e-12", "\"layer_norm_eps\": 0", HONE_BAD_FORMAT, "between 0 and 1"},
        {"\"layer_norm_eps\": 1e-12", "\"position_embedding_type\": \"relative_key\"", HONE_UNSUPPORTED,
         "relative_key"},
        {"{", "[", HONE_BAD_FORMAT, "bad JSON"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_config(cases[i].from, cases[i].to);
        refused(cases[i].to, cases[i].status, cases[i].says);
    }
    temporary_file("config.json", "");
    refused("an empty config.json", HONE_BAD_FORMAT, "config.json:");
    unlink(temporary_path("config.json"));
    refused("no config.json", HONE_NOT_FOUND, "config.json");
}

static void test_a_bad_limit_or_pooling_is_refused(void **state)
{
    (void)state;
    temporary_file("sentence_bert_config.json", "{\"max_seq_length\": 25}");
    refused("more tokens than positions", HONE_BAD_FORMAT, "\"max_seq_length\" must be a whole number from 1 to 24");
    temporary_file("sentence_bert_config.json", "{\"max_seq_length\": 16}");
    hone_embedder *e = opened(temporary_folder, 1, HONE_POOLING_OF_MODEL);
    assert_int_equal(hone_embedder_most_tokens(e), 16);
    hone_embedder_close(e);
    assert_int_equal(mkdir(temporary_path("1_Pooling"), 0755), 0);
    temporary_file("1_Pooling/config.json", "{\"pooling_mode_max_tokens\": true}");
    refused("pooling by maximum", HONE_UNSUPPORTED, "pooling_mode_max_tokens");
    temporary_file("1_Pooling/config.json", "{\"pooling_mode_cls_token\": true, \"pooling_mode_mean_tokens\": true}");
    refused("two poolings", HONE_UNSUPPORTED, "beside another");
    temporary_file("1_Pooling/config.json", "{\"pooling_mode_cls_token\": true}");
    e = opened(temporary_folder, 1, HONE_POOLING_OF_MODEL);
    assert_string_equal(hone_embedder_pooling_name(e), "first");
    hone_embedder_close(e);
}

static void test_damaged_weights_are_refused(void **state)
{
    (void)state;
    hone_buffer whole = {0};
    tiny_safetensors(tensors, n_tensors, &whole);
    for (size_t n = 0; n < whole.length; n += n < 4000 ? 61 : 4001) { /* cut anywhere */
        temporary_bytes("model.safetensors", whole.data, n);
        refused("a truncated file", HONE_BAD_FORMAT, "model.safetensors");
    }
    unlink(temporary_path("model.safetensors"));
    refused("no weights", HONE_NOT_FOUND, "model.safetensors");
    for (int i = 0; i < n_tensors; i++) { /* each tensor missing, and each with another shape */
        const tiny_tensor saved = tensors[i];
        hone_buffer file = {0};
        tensors[i].name[0] = 'X';
        tiny_safetensors(tensors, n_tensors, &file);
        temporary_bytes("model.safetensors", file.data, file.length);
        refused(saved.name, HONE_BAD_FORMAT, "is missing");
        tensors[i] = saved;
        hone_buffer_reset(&file);
        tensors[i].rows = saved.rows ? 0 : 1; /* a vector becomes a matrix of one row, a matrix a vector */
        tensors[i].columns = tiny_size(&saved);
        tiny_safetensors(tensors, n_tensors, &file);
        temporary_bytes("model.safetensors", file.data, file.length);
        refused(saved.name, HONE_BAD_FORMAT, "config.json makes it");
        tensors[i] = saved;
        hone_buffer_clear(&file);
    }
    hone_buffer_clear(&whole);
}

static void test_a_bad_vocabulary_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text;
        hone_status status;
        const char *says;
    } cases[] = {
        {"vocab.txt", "", HONE_BAD_FORMAT, "0 tokens"},
        {"vocab.txt", "[UNK]\n[CLS]\n", HONE_BAD_FORMAT, "lacks [SEP]"},
        {"vocab.txt", "[UNK]\n\n[CLS]\n[SEP]\n", HONE_BAD_FORMAT, "vocab.txt:2: an empty token"},
        {"vocab.txt", "[UNK]\n[CLS]\n[SEP]\na\na\n", HONE_BAD_FORMAT, "tokens 3 and 4 have the same text"},
        {"vocab.txt", TINY_VOCAB_TEXT "more\n", HONE_BAD_FORMAT, "the tokenizer has 25 tokens, config.json says 24"},
        {"tokenizer.json", "{", HONE_BAD_FORMAT, "tokenizer.json:1: bad JSON"},
        {"tokenizer.json", "{}", HONE_UNSUPPORTED, "model.type is missing"},
        {"tokenizer.json", "{\"model\": {\"type\": \"BPE\"}}", HONE_UNSUPPORTED, "model.type is BPE"},
        {"tokenizer.json", "{\"model\": {\"type\": \"WordPiece\"}}", HONE_BAD_FORMAT, "model.vocab"},
        {"tokenizer.json", "{\"model\": {\"type\": \"WordPiece\", \"vocab\": {\"a\": 1}}}", HONE_BAD_FORMAT,
         "not one of 0 to 0"},
        {"tokenizer.json", "{\"model\": {\"type\": \"WordPiece\", \"vocab\": {\"a\": 0, \"b\": 0}}}", HONE_BAD_FORMAT,
         "or is there twice"},
        {"tokenizer.json", "{\"model\": {\"type\": \"WordPiece\", \"vocab\": {\"a\": \"0\"}}}", HONE_BAD_FORMAT,
         "not one of"},
        {"tokenizer.json",
         "{\"model\": {\"type\": \"WordPiece\", \"max_input_chars_per_word\": -1, \"vocab\": {\"a\": 0}}}",
         HONE_BAD_FORMAT, "max_input_chars_per_word"},
        {"tokenizer.json",
         "{\"model\": {\"type\": \"WordPiece\", \"vocab\": {\"[UNK]\": 0, \"[CLS]\": 1, \"[SEP]\": 2}}, "
         "\"normalizer\": {\"type\": \"BertNormalizer\", \"lowercase\": false}}",
         HONE_UNSUPPORTED, "normalizer.lowercase"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        temporary_file(cases[i].name, cases[i].text);
        refused(cases[i].text, cases[i].status, cases[i].says);
    }
    unlink(temporary_path("tokenizer.json"));
    unlink(temporary_path("vocab.txt"));
    refused("no vocabulary", HONE_NOT_FOUND, "neither tokenizer.json nor vocab.txt");
}

/* The same vocabulary in both files gives the same ids. */
static void test_tokenizer_json_and_vocab_txt_agree(void **state)
{
    (void)state;
    const char *text = "My PARCEL is late, the card's lost: please help!";
    hone_embedder *lines = opened(temporary_folder, 1, HONE_POOLING_OF_MODEL);
    hone_buffer json = {0};
    char all[] = TINY_VOCAB_TEXT;
    int id = 0;
    hone_buffer_puts(&json,
                     "{\"normalizer\": {\"type\": \"BertNormalizer\", \"lowercase\": true, \"strip_accents\": null}, "
                     "\"pre_tokenizer\": {\"type\": \"BertPreTokenizer\"}, \"model\": {\"type\": \"WordPiece\", "
                     "\"unk_token\": \"[UNK]\", \"continuing_subword_prefix\": \"##\", \"vocab\": {");
    for (char *save, *word = strtok_r(all, "\n", &save); word; word = strtok_r(NULL, "\n", &save), id++)
        hone_buffer_printf(&json, "%s\"%s\": %d", id ? ", " : "", word, id);
    hone_buffer_puts(&json, "}}}");
    temporary_file("tokenizer.json", json.data);
    unlink(temporary_path("vocab.txt"));
    hone_embedder *object = opened(temporary_folder, 1, HONE_POOLING_OF_MODEL);
    hone_token_list a = {0}, b = {0};
    assert_int_equal(hone_embedder_encode(lines, text_of(text), &a, NULL, NULL), HONE_OK);
    assert_int_equal(hone_embedder_encode(object, text_of(text), &b, NULL, NULL), HONE_OK);
    assert_int_equal(a.n, b.n);
    assert_memory_equal(a.data, b.data, a.n * sizeof *a.data);
    hone_token_list_clear(&a);
    hone_token_list_clear(&b);
    hone_buffer_clear(&json);
    hone_embedder_close(lines);
    hone_embedder_close(object);
}

static void test_the_hash_names_content_and_pooling(void **state)
{
    (void)state;
    char before[65], pooled[65], after[65];
    hone_embedder *e = opened(temporary_folder, 1, HONE_POOLING_OF_MODEL);
    assert_int_equal(hone_embedder_hash(e, before, NULL), HONE_OK);
    hone_embedder_close(e);
    e = opened(temporary_folder, 1, HONE_POOLING_FIRST);
    assert_int_equal(hone_embedder_hash(e, pooled, NULL), HONE_OK);
    hone_embedder_close(e);
    write_config("1e-12", "1e-11");
    e = opened(temporary_folder, 1, HONE_POOLING_OF_MODEL);
    assert_int_equal(hone_embedder_hash(e, after, NULL), HONE_OK);
    hone_embedder_close(e);
    assert_string_not_equal(before, pooled);
    assert_string_not_equal(before, after);
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_minilm_equals_transformers),
        IN_FOLDER(test_the_forward_pass_is_the_papers),
        IN_FOLDER(test_same_bits_alone_together_and_with_any_thread_count),
        IN_FOLDER(test_the_same_in_class_bf16),
        IN_FOLDER(test_vectors_of_class_bf16_are_near_those_of_f32),
        cmocka_unit_test(test_same_bits_for_the_states_of_a_language_model),
        cmocka_unit_test(test_pooling_takes_the_token_it_names),
        IN_FOLDER(test_what_is_too_long_is_cut_and_told),
        IN_FOLDER(test_a_word_of_more_than_a_hundred_characters_is_unknown),
        IN_FOLDER(test_a_bad_configuration_is_refused),
        IN_FOLDER(test_a_bad_limit_or_pooling_is_refused),
        IN_FOLDER(test_damaged_weights_are_refused),
        IN_FOLDER(test_a_bad_vocabulary_is_refused),
        IN_FOLDER(test_tokenizer_json_and_vocab_txt_agree),
        IN_FOLDER(test_the_hash_names_content_and_pooling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
