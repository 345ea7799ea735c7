/* test_kernels.c - every kernel of every instruction set that this processor has gives the bits of the scalar twin, at
 * every length from 0 to 130, and touches nothing beyond its buffers (guard pages). One list of kernels below drives it
 * all.
 *
 * What the scalar twins themselves must be is checked against arithmetic in double precision further down. */
#include "kernel_rig.h"

static const instruction_set sets[] = {
    {"scalar", always, hone_kernels_scalar},
#if defined(__x86_64__)
    {"avx2", hone_cpu_has_avx2, fill_avx2},
    {"avx512", hone_cpu_has_avx512, fill_avx512},
#endif
};

/* ---- the kernels ---- */
static hone_tile_kernel tile_of(const hone_kernels *kernels, int rows)
{
    return rows <= HONE_TILE_ROWS ? kernels->tile[rows] : rows == HONE_TALL_TILE_ROWS ? kernels->tall_tile : NULL;
}

static void check_tile(const hone_kernels *kernels)
{
    /* strides of A (by row, by k; 0 stands for "k", so rows of A follow each other), of B and of C */
    static const struct {
        int a_row, a_k, b_k, c_row;
    } strides[] = {{0, 1, 16, 16}, {0, 1, 19, 21}, {1, 9, 16, 33}, {200, 1, 64, 16}};
    for (int rows = 1; rows <= HONE_TALL_TILE_ROWS; rows++)
        for (int64_t k = 0; k <= MOST && tile_of(kernels, rows); k++)
            for (size_t s = 0; s < sizeof strides / sizeof *strides; s++) {
                int64_t a_row = strides[s].a_row ? strides[s].a_row : k, a_k = strides[s].a_k, b_k = strides[s].b_k,
                        c_row = strides[s].c_row;
                int64_t n_a = k ? (rows - 1) * a_row + (k - 1) * a_k + 1 : 0, n_b = k ? (k - 1) * b_k + HONE_PANEL : 0;
                int64_t n_c = (rows - 1) * c_row + HONE_PANEL;
                const float *a = wild(0, n_a, (uint32_t)(k * 8 + rows)),
                            *b = wild(1, n_b, (uint32_t)(k * 8 + rows + 5000));
                for (int add = 0; add < 2; add++) {
                    float *c = wild(2, n_c, 77), *expected = twin_of(3, c, n_c);
                    tile_of(kernels, rows)(k, a, a_row, a_k, b, b_k, c, c_row, add);
                    for (int i = 0; i < rows; i++)
                        reference.tile[1](k, a + i * a_row, a_row, a_k, b, b_k, expected + i * c_row, c_row, add);
                    assert_same(c, expected, n_c, "tile", k);
                }
            }
}

static void check_expand(const hone_kernels *kernels)
{
    for (int packing = 0; packing < HONE_N_PACKINGS; packing++) {
        bool blocks = packing >= HONE_PACK_Q8;
        int64_t step = width_step((hone_packing)packing), most = step > 32 ? 768 : blocks ? 288 : MOST;
        for (int64_t n_in = step; n_in <= most; n_in += step) {
            size_t bytes;
            const unsigned char *panel =
                fill_panel(0, (hone_packing)packing, n_in, (uint32_t)(n_in + 1000 * packing), &bytes);
            for (int64_t k0 = 0; k0 <= n_in; k0 += blocks ? 32 : n_in < 8 ? 1 : n_in / 3) {
                int64_t n = (n_in - k0) * HONE_PANEL;
                float *out = guarded_floats(&buffers[1], n), *expected = guarded_floats(&buffers[2], n);
                memset(out, 1, (size_t)n * sizeof *out);
                memset(expected, 1, (size_t)n * sizeof *out);
                kernels->expand[packing](panel, k0, n_in, out);
                reference.expand[packing](panel, k0, n_in, expected);
                assert_same(out, expected, n, "expand", n_in);
            }
        }
    }
}

/* Expansion and tile in one must have the bits of one after the other, and leave the expanded panel. */
static void check_expand_tile(const hone_kernels *kernels)
{
    for (int packing = 0; packing < HONE_N_PACKINGS; packing++)
        for (int rows = 1; rows <= HONE_TILE_ROWS; rows++)
            for (int64_t step = width_step((hone_packing)packing), n_in = step;
                 kernels->expand_tile[packing][rows] && n_in <= (step > 32 ? 512 : 288); n_in += step) {
                size_t bytes;
                const unsigned char *panel =
                    fill_panel(0, (hone_packing)packing, n_in, (uint32_t)(n_in + rows), &bytes);
                for (int64_t k0 = 0; k0 < n_in; k0 += 96)
                    for (int add = 0; add < 2; add++) {
                        int64_t n = n_in - k0, a_row = n + 5, c_row = HONE_PANEL + 3,
                                n_c = (rows - 1) * c_row + HONE_PANEL;
                        const float *a = wild(1, (rows - 1) * a_row + n, (uint32_t)n);
                        float *c = wild(2, n_c, 78), *expected = twin_of(3, c, n_c),
                              *out = guarded_floats(&buffers[4], n * HONE_PANEL),
                              *expected_out = guarded_floats(&buffers[5], n * HONE_PANEL);
                        kernels->expand_tile[packing][rows](panel, k0, n_in, a, a_row, c, c_row, add, out);
                        reference.expand[packing](panel, k0, n_in, expected_out);
                        reference.tile[rows](n, a, a_row, 1, expected_out, HONE_PANEL, expected, c_row, add);
                        assert_same(out, expected_out, n * HONE_PANEL, "expand_tile, the panel", n);
                        assert_same(c, expected, n_c, "expand_tile, the tile", n);
                    }
            }
}

/* The matrix-vector kernel must have the bits of expansion and tile, chunk by chunk (ops.h). */
static void check_gemv(const hone_kernels *kernels)
{
    static const int64_t sizes[] = {32, 64, 96, 128, 224, 256, 288, 512, 544, 576, 768, 1536};
    for (int packing = 0; packing < HONE_N_PACKINGS; packing++)
        for (size_t s = 0; kernels->gemv[packing] && s < sizeof sizes / sizeof *sizes; s++)
            for (int n_panels = 1; n_panels <= HONE_GEMV_PANELS; n_panels++)
                for (int kind = 0; kind < 3; kind++) {
                    int64_t n_in = sizes[s];
                    size_t bytes;
                    panel_halves halves = halves_of((hone_packing)packing);
                    if (n_in % width_step((hone_packing)packing))
                        continue;
                    fill_panel(0, (hone_packing)packing, n_in * n_panels, (uint32_t)(n_in + packing), &bytes);
                    unsigned char *panels = guarded_bytes(&buffers[0], bytes);
                    /* ordinary inputs, inputs of every magnitude, and inputs so small that every product underflows */
                    float *x = kind == 0 ? normal(1, n_in, 5, 1) : wild(1, n_in, 6);
                    for (int64_t i = 0; kind == 2 && i < n_in; i++)
                        x[i] = i % 3 ? -0x1p-149f : 0x1p-149f;
                    for (size_t b = 0; kind == 2 && b < bytes; b += halves.stride)
                        for (size_t i = 0; i < halves.n; i++)
                            memcpy(panels + b + 2 * i, (const uint16_t[]){i % 16},
                                   2); /* subnormal halves: below 2^-20 */
                    float *y = guarded_floats(&buffers[2], HONE_PANEL * n_panels),
                          expected[HONE_PANEL * HONE_GEMV_PANELS];
                    kernels->gemv[packing](panels, bytes / (size_t)n_panels, n_panels, n_in, x, y);
                    for (int p = 0; p < n_panels; p++)
                        for (int64_t k = 0; k < n_in; k += HONE_K_CHUNK) {
                            int64_t end = k + HONE_K_CHUNK < n_in ? k + HONE_K_CHUNK : n_in;
                            float *expanded = guarded_floats(&buffers[3], (end - k) * HONE_PANEL);
                            reference.expand[packing](panels + (size_t)p * (bytes / (size_t)n_panels), k, end,
                                                      expanded);
                            reference.tile[1](end - k, x + k, 0, 1, expanded, HONE_PANEL, expected + p * HONE_PANEL,
                                              HONE_PANEL, k > 0);
                        }
                    assert_same(y, expected, HONE_PANEL * n_panels,
                                kind == 2 ? "gemv of underflowing products" : "gemv", n_in);
                }
}

static void check_transpose(const hone_kernels *kernels)
{
    static const int64_t strides[] = {16, 17, 40};
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) {
            int64_t n_x = 15 * strides[i] + 16, n_y = 15 * strides[j] + 16;
            const float *x = wild(0, n_x, 1);
            float *y = wild(1, n_y, 2), *expected = twin_of(2, y, n_y);
            kernels->transpose16(x, strides[i], y, strides[j]);
            for (int64_t r = 0; r < 16; r++)
                for (int64_t c = 0; c < 16; c++)
                    expected[c * strides[j] + r] = x[r * strides[i] + c];
            assert_same(y, expected, n_y, "transpose16", strides[i]);
        }
}

/* Every length to MOST, then a few long ones. */
static int64_t next_length(int64_t n)
{
    return n < MOST ? n + 1 : n < 2000 ? n + 611 : -1;
}

static void check_rms_norm(const hone_kernels *kernels)
{
    for (int64_t n = 1; n > 0; n = next_length(n)) {
        const float *x = wild(0, n, 1), *w = normal(1, n, 2, 1);
        float *y = wild(2, n, 3), *expected = twin_of(3, y, n), *rrms = guarded_floats(&buffers[4], 1), expected_rrms;
        kernels->rms_norm(n, 1e-5f, x, w, y, rrms);
        reference.rms_norm(n, 1e-5f, x, w, expected, &expected_rrms);
        assert_same(y, expected, n, "rms_norm", n);
        assert_same(rrms, &expected_rrms, 1, "rms_norm's 1/rms", n);
        float *same = twin_of(5, x, n); /* y may alias x, rrms may be NULL */
        kernels->rms_norm(n, 1e-5f, same, w, same, NULL);
        assert_same(same, expected, n, "rms_norm in place", n);
        const float *dy = wild(6, n, 4);
        float *dx = wild(2, n, 5);
        expected = twin_of(3, dx, n);
        kernels->rms_norm_backward(n, x, w, *rrms, dy, dx);
        reference.rms_norm_backward(n, x, w, *rrms, dy, expected);
        assert_same(dx, expected, n, "rms_norm_backward", n);
    }
}

static void check_add_and_scale(const hone_kernels *kernels)
{
    for (int64_t n = 0; n >= 0; n = next_length(n)) {
        const float *x = wild(0, n, 1);
        float *y = wild(1, n, 2), *expected = twin_of(2, y, n);
        kernels->add(n, x, y);
        reference.add(n, x, expected);
        assert_same(y, expected, n, "add", n);
        kernels->scale(n, 0.3f, y);
        reference.scale(n, 0.3f, expected);
        assert_same(y, expected, n, "scale", n);
    }
}

static void check_swiglu(const hone_kernels *kernels)
{
    for (int64_t n = 0; n >= 0; n = next_length(n)) {
        float *gate = wild(0, n, 1), *up = wild(1, n, 2), *y = guarded_floats(&buffers[2], n),
              *expected = guarded_floats(&buffers[3], n);
        kernels->swiglu(n, gate, up, y);
        reference.swiglu(n, gate, up, expected);
        assert_same(y, expected, n, "swiglu", n);
        float *expected_up = guarded_floats(&buffers[4], n);
        const float *dy = wild(5, n, 3);
        reference.swiglu_backward(n, gate, up, dy, expected, expected_up);
        kernels->swiglu_backward(n, gate, up, dy, gate, up); /* may alias */
        assert_same(gate, expected, n, "swiglu_backward, gate", n);
        assert_same(up, expected_up, n, "swiglu_backward, up", n);
    }
}

static void check_geglu(const hone_kernels *kernels)
{
    for (int64_t n = 0; n >= 0; n = next_length(n)) {
        float *gate = wild(0, n, 1), *up = wild(1, n, 2), *y = guarded_floats(&buffers[2], n),
              *expected = guarded_floats(&buffers[3], n);
        kernels->geglu(n, gate, up, y);
        reference.geglu(n, gate, up, expected);
        assert_same(y, expected, n, "geglu", n);
        float *expected_up = guarded_floats(&buffers[4], n);
        const float *dy = wild(5, n, 3);
        reference.geglu_backward(n, gate, up, dy, expected, expected_up);
        kernels->geglu_backward(n, gate, up, dy, gate, up); /* may alias */
        assert_same(gate, expected, n, "geglu_backward, gate", n);
        assert_same(up, expected_up, n, "geglu_backward, up", n);
    }
}

static void check_rope(const hone_kernels *kernels)
{
    for (int64_t n = 0; n <= MOST; n += 2)
        for (int back = 0; back < 2; back++) {
            const float *turns = normal(0, n, 1, 1);
            float direction = back ? -1.0f : 1.0f, *x = wild(1, n, 2), *expected = twin_of(2, x, n);
            kernels->rope_adjacent(n, turns, x, direction);
            reference.rope_adjacent(n, turns, expected, direction);
            assert_same(x, expected, n, "rope_adjacent", n);
            kernels->rope_half(n, turns, x, direction);
            reference.rope_half(n, turns, expected, direction);
            assert_same(x, expected, n, "rope_half", n);
        }
}

static void check_softmax(const hone_kernels *kernels)
{
    for (int64_t n_valid = 1; n_valid > 0; n_valid = next_length(n_valid))
        for (int64_t n = (n_valid + 15) / 16 * 16, extra = 0; extra < 2; extra++, n += 16) {
            float *x = normal(0, n, (uint32_t)n_valid, 9), *expected = twin_of(1, x, n);
            x[n - 1] = n_valid < n ? NAN : x[n - 1]; /* what lies beyond the valid values must not matter */
            kernels->softmax(n_valid, n, 0.125f, x);
            reference.softmax(n_valid, n, 0.125f, expected);
            assert_same(x, expected, n, "softmax", n_valid);
            const float *dp = wild(2, n_valid, 3);
            float *ds = guarded_floats(&buffers[3], n_valid), *expected_ds = guarded_floats(&buffers[4], n_valid);
            kernels->softmax_backward(n_valid, 0.7f, 0.125f, x, dp, ds);
            reference.softmax_backward(n_valid, 0.7f, 0.125f, x, dp, expected_ds);
            assert_same(ds, expected_ds, n_valid, "softmax_backward", n_valid);
        }
}

static void check_weights(const hone_kernels *kernels)
{
    for (int64_t n = 1; n > 0; n = next_length(n)) {
        float *x = normal(0, n, (uint32_t)n, 40), top = reference.max(n, x);
        double w[4 * MOST * 8], expected[4 * MOST * 8], scale = 1 + (double)(n % 3);
        double sum = kernels->weights(n, top, scale, x, w),
               expected_sum = reference.weights(n, top, scale, x, expected);
        assert_memory_equal(w, expected, (size_t)n * sizeof *w);
        assert_memory_equal(&sum, &expected_sum, sizeof sum);
    }
}

static void check_softmax_by_blocks(const hone_kernels *kernels)
{
    for (int64_t n_valid = 1; n_valid > 0; n_valid = next_length(n_valid))
        for (int64_t n = (n_valid + 15) / 16 * 16, extra = 0; extra < 2; extra++, n += 16) {
            float *x = normal(0, n, (uint32_t)n_valid, 9), *expected = twin_of(1, x, n);
            float *again = twin_of(2, x, n), *expected_again = twin_of(3, x, n);
            int64_t first = n_valid % 3 ? 0 : n_valid / 3; /* some begin later */
            x[n - 1] = again[n - 1] = n_valid < n ? NAN : x[n - 1];
            x[0] = again[0] = first > 0 ? NAN : x[0];
            hone_softmax_part part = kernels->softmax_block(first, n_valid, n, 0.125f, x),
                              expected_part = reference.softmax_block(first, n_valid, n, 0.125f, expected);
            assert_same(x, expected, n, "softmax_block", n_valid);
            assert_memory_equal(&part, &expected_part, sizeof part);
            kernels->softmax_again(first, n_valid, n, 0.125f, part, again);
            reference.softmax_again(first, n_valid, n, 0.125f, part, expected_again);
            assert_same(again, expected_again, n, "softmax_again", n_valid);
            for (float top = part.top - 200; top < part.top + 300; top += 100) {
                const float *next = normal(4, n_valid, 5, 1);
                float *o = normal(5, n_valid, 6, 1), *expected_o = twin_of(6, o, n_valid);
                hone_softmax_part so_far = {top, 3}, expected_so_far = so_far;
                kernels->softmax_join(n_valid, &so_far, part, o, next);
                reference.softmax_join(n_valid, &expected_so_far, part, expected_o, next);
                assert_same(o, expected_o, n_valid, "softmax_join", n_valid);
                assert_memory_equal(&so_far, &expected_so_far, sizeof so_far);
            }
        }
}

static void check_attention_pages(const hone_kernels *kernels)
{
    static const int64_t dims[] = {16, 32, 48, 64, 80, 128, 256};
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++)
        for (int rows = 1; rows <= HONE_TILE_ROWS; rows++) {
            int64_t dim = dims[i], scores_row = 16 + 7 * rows, n_scores = (rows - 1) * scores_row + 16;
            const float *q = wild(0, rows * dim, 1), *page = wild(1, 16 * dim, 2);
            float *scores = wild(2, n_scores, 3), *expected = twin_of(3, scores, n_scores);
            kernels->score_page(rows, dim, q, page, page, scores, scores_row);
            reference.score_page(rows, dim, q, page, page, expected, scores_row);
            assert_same(scores, expected, n_scores, "score_page", dim);
            for (int64_t n = 0; n <= 16; n++)
                for (int go_on = 0; go_on < 2; go_on++) { /* of the page only n positions may be read */
                    const float *p = wild(0, (rows - 1) * scores_row + n, 4), *values = wild(1, n * dim, 5);
                    float *o = wild(2, rows * dim, 6), *expected_o = twin_of(3, o, rows * dim);
                    kernels->weigh_page(rows, n, dim, p, scores_row, values, values, o, go_on);
                    reference.weigh_page(rows, n, dim, p, scores_row, values, values, expected_o, go_on);
                    assert_same(o, expected_o, rows * dim, "weigh_page", dim);
                }
        }
}

static void check_reductions(const hone_kernels *kernels)
{
    for (int64_t n = 0; n >= 0; n = next_length(n)) {
        const float *x = wild(0, n, 1), *y = wild(1, n, 2);
        float top = kernels->max(n, x), expected_top = reference.max(n, x), d = kernels->dot(n, x, y),
              expected_d = reference.dot(n, x, y);
        assert_true(top == expected_top); /* zeros of either sign are equal */
        assert_same(&d, &expected_d, 1, "dot", n);
        double pairs[][2] = {{kernels->sum_exp(n, n ? top : 0, x), reference.sum_exp(n, n ? top : 0, x)},
                             {kernels->sum_squares(n, x), reference.sum_squares(n, x)}};
        for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
            if (memcmp(&pairs[i][0], &pairs[i][1], sizeof(double)) != 0)
                fail_msg("%s, size %lld: %a, the scalar twin says %a", i ? "sum_squares" : "sum_exp", (long long)n,
                         pairs[i][0], pairs[i][1]);
    }
}

static void check_cross_entropy(const hone_kernels *kernels)
{
    for (int64_t n = 0; n >= 0; n = next_length(n)) {
        float *x = normal(0, n, 1, 40), *expected = twin_of(1, x, n);
        kernels->cross_entropy_backward(n, 12.5f, 0.25f, x);
        reference.cross_entropy_backward(n, 12.5f, 0.25f, expected);
        assert_same(x, expected, n, "cross_entropy_backward", n);
    }
}

static void check_adamw(const hone_kernels *kernels)
{
    const hone_adamw settings = {.learning_rate = 1e-3f,
                                 .beta1 = 0.9f,
                                 .beta2 = 0.999f,
                                 .epsilon = 1e-8f,
                                 .weight_decay = 0.01f,
                                 .gradient_scale = 0.5f};
    for (int64_t n = 0; n >= 0; n = next_length(n)) {
        const float *g = wild(0, n, 1);
        float *m = wild(1, n, 2), *v = wild(2, n, 3), *x = wild(3, n, 4);
        for (int64_t i = 0; i < n; i++)
            v[i] = fabsf(v[i]);
        float *em = twin_of(4, m, n), *ev = twin_of(5, v, n), *ex = twin_of(6, x, n);
        kernels->adamw(n, &settings, 0.19f, 0.0447f, g, m, v, x);
        reference.adamw(n, &settings, 0.19f, 0.0447f, g, em, ev, ex);
        assert_same(m, em, n, "adamw, first moment", n);
        assert_same(v, ev, n, "adamw, second moment", n);
        assert_same(x, ex, n, "adamw, parameters", n);
    }
}

static void check_encoder(const hone_kernels *kernels)
{
    for (int64_t n = 1; n >= 0; n = next_length(n)) {
        const float *x = wild(0, n, 1), *residual = wild(1, n, 2), *bias = wild(2, n, 3), *w = wild(3, n, 4),
                    *b = wild(4, n, 5);
        float *y = wild(5, n, 6), *expected = twin_of(6, y, n);
        kernels->layer_norm(n, 1e-12f, x, residual, bias, w, b, y);
        reference.layer_norm(n, 1e-12f, x, residual, bias, w, b, expected);
        assert_same(y, expected, n, "layer_norm", n);
        float *in_place = twin_of(7, residual, n);
        kernels->layer_norm(n, 1e-12f, x, in_place, bias, w, b, in_place);
        assert_same(in_place, expected, n, "layer_norm in place", n);
        float *activated = twin_of(8, x, n), *by_reference = twin_of(9, x, n);
        kernels->gelu(n, bias, activated);
        reference.gelu(n, bias, by_reference);
        assert_same(activated, by_reference, n, "gelu", n);
    }
}

static const kernel_check checks[] = {{"tile", check_tile},
                                      {"expand", check_expand},
                                      {"expand_tile", check_expand_tile},
                                      {"gemv", check_gemv},
                                      {"transpose", check_transpose},
                                      {"rms_norm", check_rms_norm},
                                      {"add and scale", check_add_and_scale},
                                      {"swiglu", check_swiglu},
                                      {"geglu", check_geglu},
                                      {"rope", check_rope},
                                      {"softmax", check_softmax},
                                      {"weights", check_weights},
                                      {"softmax by blocks", check_softmax_by_blocks},
                                      {"attention over a page", check_attention_pages},
                                      {"reductions", check_reductions},
                                      {"cross entropy", check_cross_entropy},
                                      {"adamw", check_adamw},
                                      {"layer norm and gelu", check_encoder}};

enum { N_SETS = sizeof sets / sizeof *sets, N_CHECKS = sizeof checks / sizeof *checks };

/* ---- what the scalar kernels must be ---- */
static void test_tile_is_a_sum_in_increasing_k_of_fused_products(void **state)
{
    (void)state;
    int64_t k = 97;
    const float *a = normal(0, 6 * k, 1, 1), *b = normal(1, k * 16, 2, 1);
    float c[6 * 16];
    reference.tile[6](k, a, k, 1, b, 16, c, 16, false);
    for (int i = 0; i < 6; i++)
        for (int j = 0; j < 16; j++) {
            float sum = 0;
            for (int64_t p = 0; p < k; p++)
                sum = fmaf(a[i * k + p], b[p * 16 + j], sum);
            assert_true(sum == c[i * 16 + j]);
        }
}

/* e^x comes out of the cross-entropy kernel with lse 0 and weight 1. */
static void test_exp_is_within_two_units_in_the_last_place(void **state)
{
    (void)state;
    enum { BATCH = 4096 };
    static float x[BATCH], y[BATCH];
    double worst = 0, at = 0;
    for (int sign = 0; sign < 2; sign++) {
        uint32_t bits, last;
        float limit = sign ? 87.0f : 88.0f, least = 0x1p-30f;
        memcpy(&bits, &least, 4);
        memcpy(&last, &limit, 4);
        while (bits <= last) {
            int n = 0;
            for (; n < BATCH && bits <= last; n++, bits += 211) {
                memcpy(&x[n], &bits, 4);
                x[n] = sign ? -x[n] : x[n];
                y[n] = x[n];
            }
            reference.cross_entropy_backward(n, 0, 1, y);
            for (int i = 0; i < n; i++) {
                double exact = exp((double)x[i]);
                int exponent;
                frexp(exact, &exponent);
                double ulps = fabs((double)y[i] - exact) / ldexp(1, exponent - 24);
                if (ulps > worst) {
                    worst = ulps;
                    at = (double)x[i];
                }
            }
        }
    }
    print_message("exp: worst %.3f units in the last place, at %.9g\n", worst, at);
    assert_true(worst <= 2);
}

static void test_weights_are_exponentials_in_double_precision(void **state)
{
    (void)state;
    enum { N = 200000 };
    float *x = malloc(N * sizeof *x);
    double *w = malloc(N * sizeof *w), worst = 0, sum = 0;
    for (int i = 0; i < N; i++)
        x[i] = (float)(-709.0 * i / (N - 1)) + 3;
    double got = reference.weights(N, 3, 1, x, w);
    for (int i = 0; i < N; i++) {
        double exact = exp((double)x[i] - 3), unit = nextafter(exact, 1) - exact;
        sum += exact;
        if ((double)x[i] - 3 < -708)
            assert_true(w[i] == 0);
        else
            worst = fmax(worst, fabs(w[i] - exact) / unit);
    }
    print_message("weights: worst %.3f units in the last place\n", worst);
    assert_true(worst <= 2);
    assert_true(fabs(got - sum) < 1e-12 * sum);
    free(x), free(w);
}

static void test_softmax_agrees_with_double_precision(void **state)
{
    (void)state;
    static const int64_t lengths[] = {1, 5, 64, 777, 8192};
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
        int64_t n = lengths[l], padded = (n + 15) / 16 * 16;
        float *x = new_normal(padded, 3, 12), *p = malloc((size_t)padded * sizeof *p);
        memcpy(p, x, (size_t)padded * sizeof *p);
        reference.softmax(n, padded, 0.5f, p);
        double top = -INFINITY, sum = 0, total = 0;
        for (int64_t i = 0; i < n; i++)
            top = fmax(top, 0.5 * (double)x[i]);
        for (int64_t i = 0; i < n; i++)
            sum += exp(0.5 * (double)x[i] - top);
        for (int64_t i = 0; i < n; i++) {
            double exact = exp(0.5 * (double)x[i] - top) / sum;
            /* exp within 2 ulp, the exponent within half an ulp of the greatest score, a sum over 16 lanes */
            assert_true(fabs((double)p[i] - exact) <= (4 + fabs(top) + (double)n / 64) * 0x1p-23 * exact + 1e-37);
            total += (double)p[i];
        }
        assert_true(fabs(total - 1) < 1e-5);
        for (int64_t i = n; i < padded; i++)
            assert_true(p[i] == 0);
        free(x);
        free(p);
    }
}

/* erf is the C library's. Three units in the last place of the larger of |x| and 1 would be 4e-7. */
static void test_gelu_agrees_with_double_precision(void **state)
{
    (void)state;
    const float zero = 0;
    for (int i = -200000; i <= 200000; i++) {
        float x = (float)i * 1e-4f, y = x;
        reference.gelu(1, &zero, &y);
        double expected = (double)x * 0.5 * erfc(-(double)x / sqrt(2));
        if (!(fabs((double)y - expected) <= 3e-7 * fmax(1, fabs((double)x))))
            fail_msg("gelu(%.9g) is %.9g, exactly %.9g", (double)x, (double)y, expected);
    }
}

static void test_geglu_agrees_with_double_precision(void **state)
{
    (void)state;
    const float one = 1;
    for (int i = -120000; i <= 120000; i++) {
        float x = (float)i * 1e-4f, y;
        reference.geglu(1, &x, &one, &y);
        double g = (double)x, expected = 0.5 * g * (1 + tanh(sqrt(2 / M_PI) * (g + 0.044715 * g * g * g)));
        if (!(fabs((double)y - expected) <= 3e-7 * fmax(1, fabs(g))))
            fail_msg("geglu(%.9g) is %.9g, exactly %.9g", g, (double)y, expected);
    }
}

static void test_layer_norm_agrees_with_double_precision(void **state)
{
    (void)state;
    enum { N = 384 };
    const float *x = normal(0, N, 1, 3), *residual = normal(1, N, 2, 1), *bias = normal(2, N, 3, 1),
                *w = normal(3, N, 4, 1), *b = normal(4, N, 5, 1);
    float *y = wild(5, N, 6);
    double s[N], mean = 0, variance = 0;
    for (int i = 0; i < N; i++)
        mean += (s[i] = (double)x[i] + (double)residual[i] + (double)bias[i]) / N;
    for (int i = 0; i < N; i++)
        variance += (s[i] - mean) * (s[i] - mean) / N;
    reference.layer_norm(N, 1e-5f, x, residual, bias, w, b, y);
    for (int i = 0; i < N; i++)
        assert_float_equal(y[i], (s[i] - mean) / sqrt(variance + 1e-5) * (double)w[i] + (double)b[i], 5e-6);
}

static void test_rms_norm_agrees_with_double_precision(void **state)
{
    (void)state;
    int64_t n = 576;
    const float *x = normal(0, n, 1, 3), *w = normal(1, n, 2, 1);
    float *y = guarded_floats(&buffers[2], n), rrms;
    reference.rms_norm(n, 1e-5f, x, w, y, &rrms);
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    double exact = 1 / sqrt(sum / (double)n + 1e-5);
    assert_true(fabs((double)rrms - exact) < 4e-7 * exact);
    for (int64_t i = 0; i < n; i++)
        assert_true(fabs((double)y[i] - (double)x[i] * exact * (double)w[i]) <=
                    6e-7 * fabs((double)x[i] * exact * (double)w[i]));
}

static void test_log_sum_exp_agrees_with_double_precision(void **state)
{
    (void)state;
    enum { N = 49152 };
    float *x = new_normal(N, 9, 5);
    float top = reference.max(N, x);
    double got = (double)top + log(reference.sum_exp(N, top, x)), sum = 0;
    for (int i = 0; i < N; i++)
        sum += exp((double)x[i] - (double)top);
    double exact = (double)top + log(sum);
    print_message("log-sum-exp of %d values: off by %.2e\n", N, got - exact);
    assert_true(fabs(got - exact) < 5e-7);
    free(x);
}

static void test_sum_exp_and_max_ignore_nothing(void **state)
{
    (void)state;
    float x[40];
    for (int at = 0; at < 40; at++) {
        for (int i = 0; i < 40; i++)
            x[i] = -50;
        x[at] = 3;
        assert_true(reference.max(40, x) == 3);
        assert_true(fabs(reference.sum_exp(40, 3, x) - 1) < 1e-6);
        x[at] = NAN;
        assert_true(isnan(reference.sum_exp(40, 3, x))); /* so that a loss shows a breakdown */
    }
}

/* ---- half precision ---- */
#if defined(__x86_64__)
#include <immintrin.h>
__attribute__((target("f16c"))) static float hardware_half_to_float(uint16_t h)
{
    return _cvtsh_ss(h);
}

__attribute__((target("f16c"))) static uint16_t hardware_float_to_half(float f)
{
    return _cvtss_sh(f, 0);
}
#endif

static uint32_t bits_of(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, 4);
    return bits;
}

static float float_of(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, 4);
    return f;
}

static void test_half_precision_agrees_with_the_processor(void **state)
{
    (void)state;
#if defined(__x86_64__)
    if (!hone_cpu_has_avx2()) {
        print_message("skipped: this processor has no conversion of half precision\n");
        skip();
    }
    for (uint32_t h = 0; h < 65536; h++) {
        float ours = hone_f16_to_f32((uint16_t)h), theirs = hardware_half_to_float((uint16_t)h);
        assert_true(isnan(theirs) ? isnan(ours) : bits_of(ours) == bits_of(theirs));
        if (isnan(ours))
            continue;
        assert_int_equal(hone_f32_to_f16(ours), h);
        /* the half, its neighbours as floats, and the points where rounding turns */
        float next = hardware_half_to_float((uint16_t)(h + 1)),
              middle = isfinite(next) ? 0.5f * ours + 0.5f * next : ours;
        float points[] = {nextafterf(ours, INFINITY), nextafterf(ours, -INFINITY), middle, nextafterf(middle, INFINITY),
                          nextafterf(middle, -INFINITY)};
        for (size_t i = 0; i < sizeof points / sizeof *points; i++)
            assert_int_equal(hone_f32_to_f16(points[i]), hardware_float_to_half(points[i]));
    }
    hone_rng_key key = {1, HONE_RNG_TEST, 16};
    for (uint64_t i = 0; i < 1000000; i++) {
        float f = float_of((uint32_t)hone_rng_u64(key, i));
        uint16_t ours = hone_f32_to_f16(f), theirs = hardware_float_to_half(f);
        assert_true(isnan(f) ? (ours & 0x7FFF) > 0x7C00 : ours == theirs);
    }
    const float edges[] = {65504,           65519.996f, 65520,        1e9f,     INFINITY,
                           -INFINITY,       0x1p-14f,   0x1.ffcp-15f, 0x1p-24f, 0x1p-25f,
                           0x1.000002p-25f, 0x1p-126f,  -0.0f};
    for (size_t i = 0; i < sizeof edges / sizeof *edges; i++)
        assert_int_equal(hone_f32_to_f16(edges[i]), hardware_float_to_half(edges[i]));
#else
    skip();
#endif
}

static void test_bfloat16_rounds_to_nearest_even(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        float f = hone_bf16_to_f32((uint16_t)h);
        assert_true(bits_of(f) == h << 16);
        if (!isnan(f))
            assert_int_equal(hone_f32_to_bf16(f), h);
    }
    hone_rng_key key = {1, HONE_RNG_TEST, 17};
    for (uint64_t i = 0; i < 1000000; i++) {
        uint32_t bits = (uint32_t)hone_rng_u64(key, i);
        if (i % 4 == 0)
            bits = (bits & 0xFFFF0000u) | 0x8000u; /* exactly half-way */
        float f = float_of(bits);
        uint16_t ours = hone_f32_to_bf16(f);
        if (isnan(f)) {
            assert_true((ours & 0x7FFF) > 0x7F80);
            continue;
        }
        double low = (double)float_of(bits & 0xFFFF0000u), gap = ldexp(1, (int)fmax(bits >> 23 & 255, 1) - 127 - 7);
        double fraction = fabs((double)f - low) / gap;
        uint16_t down = (uint16_t)(bits >> 16), up = (uint16_t)(down + 1);
        if (!isfinite(f))
            up = down;
        assert_int_equal(ours, fraction < 0.5 ? down : fraction > 0.5 ? up : down & 1 ? up : down);
    }
}

int main(void)
{
    static pairing pairings[N_SETS * N_CHECKS];
    const struct CMUnitTest claims[] = {
        cmocka_unit_test(test_tile_is_a_sum_in_increasing_k_of_fused_products),
        cmocka_unit_test(test_exp_is_within_two_units_in_the_last_place),
        cmocka_unit_test(test_weights_are_exponentials_in_double_precision),
        cmocka_unit_test(test_softmax_agrees_with_double_precision),
        cmocka_unit_test(test_rms_norm_agrees_with_double_precision),
        cmocka_unit_test(test_gelu_agrees_with_double_precision),
        cmocka_unit_test(test_geglu_agrees_with_double_precision),
        cmocka_unit_test(test_layer_norm_agrees_with_double_precision),
        cmocka_unit_test(test_log_sum_exp_agrees_with_double_precision),
        cmocka_unit_test(test_sum_exp_and_max_ignore_nothing),
        cmocka_unit_test(test_half_precision_agrees_with_the_processor),
        cmocka_unit_test(test_bfloat16_rounds_to_nearest_even),
    };
    enum { N_CLAIMS = sizeof claims / sizeof *claims };
    struct CMUnitTest tests[N_SETS * N_CHECKS + N_CLAIMS];
    pair_kernels(sets, N_SETS, checks, N_CHECKS, pairings, tests);
    memcpy(tests + N_SETS * N_CHECKS, claims, sizeof claims);
    return cmocka_run_group_tests(tests, create_buffers, free_buffers);
}
