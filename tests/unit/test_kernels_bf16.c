/* test_kernels_bf16.c - the kernels of the numerics class bf16: those of every instruction set give the bits of the
 * scalar twin at every length from 0 to 130 and touch nothing beyond their buffers; and the twin does what VDPBF16PS is
 * documented to do. */
#include "kernel_rig.h"

#include "tensor/dtype.h"

static const instruction_set sets[] = {
    {"scalar", always, hone_kernels_scalar},
#if defined(__x86_64__)
    {"avx2", hone_cpu_has_avx2, fill_avx2},
    {"avx512", hone_cpu_has_avx512, fill_avx512},
    {"avx512_bf16", hone_cpu_has_avx512_bf16, fill_avx512_bf16},
#endif
};

static int64_t pairs_of(int64_t n)
{
    return (n + 1) / 2;
}

static hone_pair *guarded_pairs(int which, int64_t n)
{
    return guarded_bytes(&buffers[which], (size_t)n * sizeof(hone_pair));
}

/* n pairs of numbers of every magnitude, by the twin's rounding. */
static hone_pair *wild_pairs(int which, int64_t n, uint32_t stream)
{
    float *x = malloc((size_t)(2 * n + 1) * sizeof *x);
    hone_pair *out = guarded_pairs(which, n);
    fill_wild(x, 2 * n, stream);
    reference.pair_round(2 * n, x, out);
    free(x);
    return out;
}

static void assert_same_pairs(const hone_pair *a, const hone_pair *b, int64_t n, const char *what, int64_t size)
{
    for (int64_t i = 0; i < n; i++)
        if (a[i] != b[i])
            fail_msg("%s, size %lld: pair %lld is %08x, the scalar twin says %08x", what, (long long)size, (long long)i,
                     a[i], b[i]);
}

static void check_tile(const hone_kernels *kernels)
{
    for (int rows = 1; rows <= HONE_PAIR_TILE_ROWS; rows++)
        for (int64_t n = 0; n <= MOST; n++)
            for (int apart = 0; apart < 2; apart++) {
                int64_t x_row = n + apart * 7, c_row = HONE_PANEL + apart * 5, n_c = (rows - 1) * c_row + HONE_PANEL;
                const hone_pair *x = wild_pairs(0, n ? (rows - 1) * x_row + n : 0, (uint32_t)(n * 16 + rows)),
                                *b = wild_pairs(1, n * HONE_PANEL, (uint32_t)(n * 16 + rows + 5000));
                for (int add = 0; add < 2; add++) {
                    float *c = wild(2, n_c, 77), *expected = twin_of(3, c, n_c);
                    kernels->pair_tile[rows](n, x, x_row, b, c, c_row, add);
                    reference.pair_tile[rows](n, x, x_row, b, expected, c_row, add);
                    assert_same(c, expected, n_c, "tile of pairs", n);
                }
            }
}

static void check_rounding(const hone_kernels *kernels)
{
    for (int64_t n = 0; n <= MOST; n++) {
        const float *x = wild(0, n, (uint32_t)n);
        hone_pair *out = guarded_pairs(1, pairs_of(n)), *expected = guarded_pairs(2, pairs_of(n));
        memset(out, 1, (size_t)pairs_of(n) * sizeof *out);
        kernels->pair_round(n, x, out);
        reference.pair_round(n, x, expected);
        assert_same_pairs(out, expected, pairs_of(n), "rounding", n);
    }
}

static void check_weaving(const hone_kernels *kernels)
{
    for (int64_t n = 0; n <= MOST; n++) {
        const float *w = wild(0, n * HONE_PANEL, (uint32_t)n);
        int64_t n_out = pairs_of(n) * HONE_PANEL;
        hone_pair *out = guarded_pairs(1, n_out), *expected = guarded_pairs(2, n_out);
        kernels->pair_weave(n, w, out);
        reference.pair_weave(n, w, expected);
        assert_same_pairs(out, expected, n_out, "weaving", n);
    }
}

static void check_transpose(const hone_kernels *kernels)
{
    const float *x = wild(0, HONE_PANEL * HONE_PANEL, 1);
    enum { PAIRS = HONE_PANEL / 2 * HONE_PANEL };
    hone_pair *out = guarded_pairs(1, PAIRS), *expected = guarded_pairs(2, PAIRS);
    kernels->pair_transpose16(x, out);
    reference.pair_transpose16(x, expected);
    assert_same_pairs(out, expected, PAIRS, "transpose of pairs", HONE_PANEL);
}

/* Inputs [k0, n_in) of a panel by the twin: expanded, then woven. */
static hone_pair *expand_by_twin(int which, hone_packing packing, const void *panel, int64_t k0, int64_t n_in)
{
    hone_pair *out = guarded_pairs(which, pairs_of(n_in - k0) * HONE_PANEL);
    float *w = malloc((size_t)((n_in - k0) * HONE_PANEL) * sizeof *w);
    reference.expand[packing](panel, k0, n_in, w);
    reference.pair_weave(n_in - k0, w, out);
    free(w);
    return out;
}

static void check_expand(const hone_kernels *kernels)
{
    for (int packing = 0; packing < HONE_N_PACKINGS; packing++)
        for (int64_t n_in = 32; kernels->pair_expand[packing] && n_in <= 288; n_in += 32)
            for (int64_t k0 = 0; k0 < n_in; k0 += 32) {
                size_t bytes;
                const void *panel =
                    fill_panel(0, (hone_packing)packing, n_in, (uint32_t)(n_in + 1000 * packing), &bytes);
                int64_t n_out = (n_in - k0) / 2 * HONE_PANEL;
                hone_pair *out = guarded_pairs(1, n_out);
                kernels->pair_expand[packing](panel, k0, n_in, out);
                assert_same_pairs(out, expand_by_twin(2, (hone_packing)packing, panel, k0, n_in), n_out, "expansion",
                                  n_in);
            }
}

static void check_expand_tile(const hone_kernels *kernels)
{
    for (int packing = 0; packing < HONE_N_PACKINGS; packing++)
        for (int rows = 1; rows <= HONE_PAIR_TILE_ROWS; rows++)
            for (int64_t n_in = 32; kernels->pair_expand_tile[packing][rows] && n_in <= 288; n_in += 32) {
                size_t bytes;
                const void *panel = fill_panel(0, (hone_packing)packing, n_in, (uint32_t)(n_in + rows), &bytes);
                for (int64_t k0 = 0; k0 < n_in; k0 += 96)
                    for (int add = 0; add < 2; add++) {
                        int64_t n = (n_in - k0) / 2, x_row = n + 5, c_row = HONE_PANEL + 3,
                                n_c = (rows - 1) * c_row + HONE_PANEL;
                        const hone_pair *x = wild_pairs(1, (rows - 1) * x_row + n, (uint32_t)n),
                                        *expected_out = expand_by_twin(5, (hone_packing)packing, panel, k0, n_in);
                        float *c = wild(2, n_c, 78), *expected = twin_of(3, c, n_c);
                        hone_pair *out = guarded_pairs(4, n * HONE_PANEL);
                        kernels->pair_expand_tile[packing][rows](panel, k0, n_in, x, x_row, c, c_row, add, out);
                        reference.pair_tile[rows](n, x, x_row, expected_out, expected, c_row, add);
                        assert_same_pairs(out, expected_out, n * HONE_PANEL, "expansion in a tile", n_in);
                        assert_same(c, expected, n_c, "tile that expands", n_in);
                    }
            }
}

static void check_gemv(const hone_kernels *kernels)
{
    static const int64_t sizes[] = {32, 64, 96, 128, 224, 256, 288, 512, 544, 576, 1536};
    for (int packing = 0; packing < HONE_N_PACKINGS; packing++)
        for (size_t s = 0; kernels->pair_gemv[packing] && s < sizeof sizes / sizeof *sizes; s++)
            for (int n_panels = 1; n_panels <= HONE_GEMV_PANELS; n_panels++) {
                int64_t n_in = sizes[s];
                size_t bytes;
                const unsigned char *panels =
                    fill_panel(0, (hone_packing)packing, n_in * n_panels, (uint32_t)(n_in + packing), &bytes);
                size_t panel_bytes = bytes / (size_t)n_panels;
                const hone_pair *x = wild_pairs(1, n_in / 2, (uint32_t)n_in);
                float *y = guarded_floats(&buffers[2], HONE_PANEL * n_panels), expected[HONE_PANEL * HONE_GEMV_PANELS];
                kernels->pair_gemv[packing](panels, panel_bytes, n_panels, n_in, x, y);
                for (int p = 0; p < n_panels; p++)
                    for (int64_t k = 0; k < n_in; k += HONE_K_CHUNK) {
                        int64_t end = k + HONE_K_CHUNK < n_in ? k + HONE_K_CHUNK : n_in;
                        const hone_pair *w =
                            expand_by_twin(3, (hone_packing)packing, panels + (size_t)p * panel_bytes, k, end);
                        reference.pair_tile[1]((end - k) / 2, x + k / 2, 0, w, expected + p * HONE_PANEL, HONE_PANEL,
                                               k > 0);
                    }
                assert_same(y, expected, HONE_PANEL * n_panels, "gemv of pairs", n_in);
            }
}

static const kernel_check checks[] = {{"tile", check_tile},        {"rounding", check_rounding},
                                      {"weaving", check_weaving},  {"transpose", check_transpose},
                                      {"expansion", check_expand}, {"expansion in a tile", check_expand_tile},
                                      {"gemv", check_gemv}};

enum { N_SETS = sizeof sets / sizeof *sets, N_CHECKS = sizeof checks / sizeof *checks };

/* ---- what the twin must be ---- */
static hone_pair pair(float even, float odd)
{
    return (hone_pair)hone_f32_to_bf16(even) << 16 | hone_f32_to_bf16(odd);
}

/* Ordinary numbers: rounding by tensor/dtype.h, whose own test compares it with arithmetic, and the C library's fma. */
static void test_tile_is_a_sum_in_increasing_k_of_fused_products_of_rounded_numbers(void **state)
{
    (void)state;
    enum { K = 97, PAIRS = (K + 1) / 2 };
    const float *a = normal(0, K, 1, 1), *b = normal(1, K * HONE_PANEL, 2, 1);
    hone_pair x[PAIRS], w[PAIRS * HONE_PANEL];
    float c[HONE_PANEL];
    reference.pair_round(K, a, x);
    reference.pair_weave(K, b, w);
    reference.pair_tile[1](PAIRS, x, PAIRS, w, c, HONE_PANEL, false);
    for (int j = 0; j < HONE_PANEL; j++) {
        float sum = 0;
        for (int k = 0; k < K; k++)
            sum = fmaf(hone_bf16_to_f32(hone_f32_to_bf16(a[k])),
                       hone_bf16_to_f32(hone_f32_to_bf16(b[k * HONE_PANEL + j])), sum);
        assert_true(sum == c[j]);
    }
}

static void test_a_pair_has_the_even_number_in_its_upper_half(void **state)
{
    (void)state;
    const float x[3] = {1, -2, 0.5f};
    hone_pair out[2];
    reference.pair_round(3, x, out);
    assert_int_equal(out[0], 0x3F80C000);
    assert_int_equal(out[1], 0x3F000000); /* padded with a zero */
}

static void test_numbers_below_the_normal_range_are_rounded_to_zeros(void **state)
{
    (void)state;
    const float x[4] = {0x1.fffffcp-127f, -0x1p-149f, 0x1p-126f, -0x1p-126f};
    hone_pair out[2];
    reference.pair_round(4, x, out);
    assert_int_equal(out[0], 0x00008000);
    assert_int_equal(out[1], 0x00808080);
}

/* The sum of 2^-126 and -t * 2^-150: t is a quarter of the last place of a number just below the normal range, were its
 * exponent not bounded. Half of that place and less rounds to 2^-126; more would round below, and is flushed. */
static void test_a_sum_is_flushed_by_what_it_would_be_with_any_exponent(void **state)
{
    for (size_t s = 0; s < N_SETS; s++) {
        if (!sets[s].present())
            continue;
        hone_kernels table;
        sets[s].fill(&table);
        for (int eighths = 1; eighths <= 24; eighths++)
            for (int sign = -1; sign <= 1; sign += 2) {
                const hone_pair x = pair((float)sign * 0x1p-63f, (float)sign * -0.125f * (float)eighths * 0x1p-75f);
                hone_pair w[HONE_PANEL];
                float c[HONE_PANEL];
                for (int j = 0; j < HONE_PANEL; j++)
                    w[j] = pair(0x1p-63f, 0x1p-75f);
                table.pair_tile[1](1, &x, 1, w, c, HONE_PANEL, false);
                float expected = eighths <= 4 ? 0x1p-126f : 0;
                for (int j = 0; j < HONE_PANEL; j++)
                    assert_true(c[j] == (float)sign * expected && !signbit(c[j]) == (sign > 0));
            }
    }
    (void)state;
}

int main(void)
{
    static pairing pairings[N_SETS * N_CHECKS];
    const struct CMUnitTest claims[] = {
        cmocka_unit_test(test_tile_is_a_sum_in_increasing_k_of_fused_products_of_rounded_numbers),
        cmocka_unit_test(test_a_pair_has_the_even_number_in_its_upper_half),
        cmocka_unit_test(test_numbers_below_the_normal_range_are_rounded_to_zeros),
        cmocka_unit_test(test_a_sum_is_flushed_by_what_it_would_be_with_any_exponent),
    };
    enum { N_CLAIMS = sizeof claims / sizeof *claims };
    struct CMUnitTest tests[N_SETS * N_CHECKS + N_CLAIMS];
    pair_kernels(sets, N_SETS, checks, N_CHECKS, pairings, tests);
    memcpy(tests + N_SETS * N_CHECKS, claims, sizeof claims);
    return cmocka_run_group_tests(tests, create_buffers, free_buffers);
}
