/* forward.c - the llama block: rms norm, grouped-query attention with rotary positions, gated MLP, each linear layer
 * with an optional LoRA delta. Touvron et al. 2023, arXiv 2302.13971, section 2.2. Gemma 3's (Gemma Team 2025, arXiv
 * 2503.19786) has more norms: of each head of q and k before it is turned, and of what attention and MLP give before it
 * is added; and windows in most layers. */
#include "model/workspace.h"

#include "base/large_memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Hands out consecutive 64-byte aligned pieces of one array; with memory NULL it only adds up. */
typedef struct carver {
    hone_real *memory;
    size_t at;
} carver;

static hone_real *carve(carver *c, int64_t rows, int64_t columns)
{
    hone_real *p = c->memory ? c->memory + c->at : NULL;
    c->at += ((size_t)(rows * columns) + 15) / 16 * 16;
    return p;
}

static void layout_workspace(hone_workspace *ws, carver *c)
{
    const hone_model_config *m = &ws->model->config;
    int64_t rows = ws->max_rows, q = m->n_heads * m->head_dim, kv = m->n_kv_heads * m->head_dim;
    ws->x = carve(c, rows, m->n_embd);
    ws->normed = carve(c, rows, m->n_embd);
    ws->q = carve(c, rows, q);
    ws->k = carve(c, rows, kv);
    ws->v = carve(c, rows, kv);
    ws->attended = carve(c, rows, q);
    ws->projected = carve(c, rows, m->n_embd);
    ws->gate = carve(c, rows, m->n_ff);
    ws->up = carve(c, rows, m->n_ff);
    ws->activated = carve(c, rows, m->n_ff);
    ws->low = carve(c, HONE_SHARING_INPUT * rows, ws->max_rank);
    ws->hidden = carve(c, ws->logit_rows, m->n_embd);
    ws->logits = carve(c, ws->logit_rows, m->n_vocab);
}

int64_t hone_training_logit_rows(const hone_model *model, int64_t max_rows)
{
    enum { MOST_BYTES = 40 << 20, PASS_ROWS_EACH = 3 }; /* a lot for every three rows of a pass */
    int64_t by_memory = MOST_BYTES / (int64_t)sizeof(float) / model->config.n_vocab;
    int64_t rows = max_rows / PASS_ROWS_EACH < by_memory ? max_rows / PASS_ROWS_EACH : by_memory;
    rows = rows < HONE_MOST_LOGIT_ROWS ? rows : HONE_MOST_LOGIT_ROWS;
    return rows > HONE_LOGIT_ROWS ? rows / HONE_LOGIT_ROWS * HONE_LOGIT_ROWS : HONE_LOGIT_ROWS;
}

size_t hone_workspace_bytes_as(const hone_model *model, int64_t max_rows, int max_rank, int64_t logit_rows)
{
    hone_workspace ws = {.model = model, .max_rows = max_rows, .logit_rows = logit_rows, .max_rank = max_rank};
    carver c = {NULL, 0};
    layout_workspace(&ws, &c);
    return c.at * sizeof(hone_real);
}

size_t hone_workspace_bytes_for(const hone_model *model, int64_t max_rows, int max_rank)
{
    return hone_workspace_bytes_as(model, max_rows, max_rank, HONE_LOGIT_ROWS);
}

hone_status hone_workspace_create(const hone_model *model, int64_t max_rows, int max_rank, hone_workspace **out,
                                  hone_error *err)
{
    return hone_workspace_create_as(model, max_rows, max_rank, HONE_LOGIT_ROWS, out, err);
}

hone_status hone_workspace_create_as(const hone_model *model, int64_t max_rows, int max_rank, int64_t logit_rows,
                                     hone_workspace **out, hone_error *err)
{
    *out = NULL;
    hone_workspace *ws = calloc(1, sizeof *ws);
    if (!ws)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    *ws = (hone_workspace){.model = model, .max_rows = max_rows, .logit_rows = logit_rows, .max_rank = max_rank};
    carver c = {NULL, 0};
    ws->bytes = hone_workspace_bytes_as(model, max_rows, max_rank, logit_rows);
    ws->memory = hone_large_map(ws->bytes);
    if (!ws->memory) {
        size_t bytes = ws->bytes;
        free(ws);
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for a step of %lld rows (%zu bytes)", (long long)max_rows,
                         bytes);
    }
    c = (carver){ws->memory, 0};
    layout_workspace(ws, &c);
    *out = ws;
    return HONE_OK;
}

void hone_workspace_free(hone_workspace *ws)
{
    if (!ws)
        return;
    hone_large_unmap(ws->memory, ws->bytes);
    free(ws);
}

int64_t hone_workspace_max_rows(const hone_workspace *ws)
{
    return ws->max_rows;
}

size_t hone_workspace_bytes(const hone_workspace *ws)
{
    return ws->bytes;
}

/* What linear layers gave, where it is not on the tape already: q before it is turned. */
static void layout_outputs(const hone_model_config *m, int64_t rows, hone_layer_tape *t, carver *c)
{
    for (int i = 0; i < HONE_N_LINEARS; i++) {
        int64_t n_out, n_in;
        hone_model_linear_shape(m, (hone_linear)i, &n_out, &n_in);
        t->y[i] = i == HONE_FFN_GATE                       ? t->gate
                  : i == HONE_FFN_UP                       ? t->up
                  : i == HONE_ATTN_Q && m->head_norms      ? t->q_raw
                  : i == HONE_ATTN_K && m->head_norms      ? t->k_raw
                  : i == HONE_ATTN_OUTPUT && m->post_norms ? t->attn_out
                  : i == HONE_FFN_DOWN && m->post_norms    ? t->ffn_out
                                                           : carve(c, rows, n_out);
    }
}

static void layout_norm_inputs(const hone_model_config *m, int64_t rows, hone_layer_tape *t, carver *c)
{
    if (m->head_norms) {
        t->q_raw = carve(c, rows, m->n_heads * m->head_dim);
        t->k_raw = carve(c, rows, m->n_kv_heads * m->head_dim);
        t->q_rrms = carve(c, rows, m->n_heads);
        t->k_rrms = carve(c, rows, m->n_kv_heads);
    }
    if (m->post_norms) {
        t->attn_out = carve(c, rows, m->n_embd);
        t->ffn_out = carve(c, rows, m->n_embd);
        t->attn_out_rrms = carve(c, rows, 1);
        t->ffn_out_rrms = carve(c, rows, 1);
    }
}

static void layout_layer(const hone_model_config *m, const hone_tape_size *size, hone_layer_tape *t, carver *c)
{
    int64_t rows = size->max_rows, q = m->n_heads * m->head_dim;
    t->attn_rrms = carve(c, rows, 1);
    t->q = carve(c, rows, q);
    t->attended = carve(c, rows, q);
    t->softmax = carve(c, rows, 2 * m->n_heads);
    t->x_mid = carve(c, rows, m->n_embd);
    t->ffn_rrms = carve(c, rows, 1);
    t->gate = carve(c, rows, m->n_ff);
    t->up = carve(c, rows, m->n_ff);
    for (int i = 0; i < HONE_N_LINEARS; i++)
        t->low[i] = carve(c, rows, size->rank);
    layout_norm_inputs(m, rows, t, c);
    if (size->dora)
        layout_outputs(m, rows, t, c);
}

static void layout_tape(const hone_model_config *m, hone_tape *tape, hone_layer_tape *layers, carver *c)
{
    const hone_tape_size *size = &tape->size;
    int64_t rows = size->max_rows, q = m->n_heads * m->head_dim, kv = m->n_kv_heads * m->head_dim;
    int64_t widest = m->n_embd > q ? m->n_embd : q, wide = m->n_ff > widest ? m->n_ff : widest;
    hone_layer_tape shared = {0};
    for (int64_t l = size->first_layer; l < m->n_layers; l++) {
        hone_layer_tape scratch, *t = layers ? &layers[l] : &scratch;
        if (!size->recompute || l == size->first_layer)
            layout_layer(m, size, &shared, c);
        *t = shared;
        t->x_in = carve(c, rows, m->n_embd);
    }
    tape->dx = carve(c, rows, m->n_embd);
    tape->d_wide_a = carve(c, rows, wide);
    tape->d_wide_b = carve(c, rows, wide);
    tape->d_narrow = carve(c, rows, widest);
    tape->d_q = carve(c, rows, q);
    tape->d_k = carve(c, rows + size->max_outer, kv);
    tape->d_v = carve(c, rows + size->max_outer, kv);
    tape->d_low = carve(c, rows, size->rank);
    if (size->dora)
        tape->d_gained = carve(c, rows, wide);
}

static size_t tape_floats(const hone_model *model, const hone_tape_size *size)
{
    hone_tape tape = {.size = *size};
    carver c = {NULL, 0};
    layout_tape(&model->config, &tape, NULL, &c);
    return c.at;
}

static size_t attention_work_floats(const hone_model *model, const hone_tape_size *size)
{
    const hone_model_config *c = &model->config;
    return hone_attention_backward_work(size->max_rows + size->max_outer, c->n_heads, c->head_dim,
                                        hone_thread_pool_size(hone_ops_pool(model->ops)));
}

size_t hone_tape_bytes(const hone_model *model, const hone_tape_size *size)
{
    return (tape_floats(model, size) + attention_work_floats(model, size)) * sizeof(hone_real);
}

hone_status hone_tape_create_as(const hone_model *model, const hone_tape_size *size, hone_tape **out, hone_error *err)
{
    *out = NULL;
    hone_tape *tape = calloc(1, sizeof *tape);
    size_t bytes = tape_floats(model, size) * sizeof(hone_real);
    if (tape) {
        tape->size = *size;
        tape->layers = calloc((size_t)model->config.n_layers, sizeof *tape->layers);
        tape->bytes = bytes;
        tape->memory = hone_large_map(bytes);
        tape->attention_work_floats = attention_work_floats(model, size);
        tape->attention_work = malloc(tape->attention_work_floats * sizeof(hone_real));
    }
    if (!tape || !tape->layers || !tape->memory || !tape->attention_work) {
        hone_tape_free(tape);
        return hone_fail(err, HONE_NO_MEMORY, "out of memory for a training step of %lld rows (%zu bytes)",
                         (long long)size->max_rows, bytes);
    }
    carver c = {tape->memory, 0};
    layout_tape(&model->config, tape, tape->layers, &c);
    *out = tape;
    return HONE_OK;
}

hone_status hone_tape_create(const hone_model *model, int64_t max_rows, int rank, hone_tape **out, hone_error *err)
{
    return hone_tape_create_as(model, &(hone_tape_size){.max_rows = max_rows, .rank = rank}, out, err);
}

size_t hone_kv_gradient_floats(const hone_model *model, int64_t n_rows)
{
    const hone_model_config *c = &model->config;
    return (size_t)(c->n_layers * 2 * n_rows * c->n_kv_heads * c->head_dim);
}

void hone_tape_free(hone_tape *tape)
{
    if (!tape)
        return;
    free(tape->layers);
    hone_large_unmap(tape->memory, tape->bytes);
    free(tape->attention_work);
    free(tape);
}

/* Linear layers of one layer that read the same input: y[i] = W x + scale * B (A x). */
typedef struct projection {
    hone_linear which;
    hone_real *y;
} projection;

enum { LORAS_AT_ONCE = 192 };

/* low_only: y is not wanted, only what the adapters leave on the tape (with DoRA that is y too). */
static void project(const hone_model *model, int64_t l, const projection *p, int n, const hone_batch *batch,
                    const hone_real *x, hone_workspace *ws, const hone_layer_tape *tape, bool low_only)
{
    hone_ops *ops = model->ops;
    hone_linear_job jobs[HONE_N_LINEARS];
    for (int i = 0; i < n; i++) {
        const hone_weight *w = model->layers[l].linear[p[i].which];
        jobs[i] = (hone_linear_job){w, x, hone_weight_n_in(w), p[i].y, hone_weight_n_out(w)};
    }
    int n_jobs = !low_only || (tape && tape->y[p[0].which]) ? n : 0; /* not done yet */
    hone_lora_job deltas[LORAS_AT_ONCE];
    int n_deltas = 0;
    for (int64_t g = 0; g < batch->n_adapters; g++) {
        const hone_adapter_rows *rows = &batch->adapters[g];
        const hone_adapter *adapter = rows->adapter;
        for (int i = 0; i < n; i++) {
            const hone_lora *lora = hone_adapter_at(adapter, l, p[i].which);
            if (!lora->rank)
                continue;
            hone_real *low = tape ? tape->low[p[i].which] + rows->first_row * lora->rank
                                  : ws->low + (i * ws->max_rows + rows->first_row) * ws->max_rank;
            deltas[n_deltas++] = (hone_lora_job){.n_rows = rows->n_rows,
                                                 .n_in = lora->n_in,
                                                 .n_out = lora->n_out,
                                                 .rank = lora->rank,
                                                 .scale = lora->scale,
                                                 .x = x + rows->first_row * lora->n_in,
                                                 .a_panels = lora->a_panels,
                                                 .b_panels = lora->b_panels,
                                                 .gain = lora->gain,
                                                 .low = low,
                                                 .y = p[i].y + rows->first_row * lora->n_out};
        }
        if (n_deltas + HONE_SHARING_INPUT > LORAS_AT_ONCE || g + 1 == batch->n_adapters) {
            hone_op_linear_lora(ops, jobs, n_jobs, batch->n_rows, deltas, n_deltas);
            n_jobs = n_deltas = 0;
        }
    }
    hone_op_linear(ops, jobs, n_jobs, batch->n_rows);
    for (int i = 0; tape && i < n; i++) {
        hone_real *kept = tape->y[p[i].which];
        if (kept && kept != p[i].y)
            memcpy(kept, p[i].y, (size_t)(batch->n_rows * jobs[i].y_stride) * sizeof(hone_real));
    }
}

/* Each head of each row by itself; y may be x. */
static void norm_heads(const hone_model *model, int64_t n_rows, int64_t n_heads, const hone_real *x, const hone_real *w,
                       hone_real *y, hone_real *rrms)
{
    const hone_model_config *c = &model->config;
    hone_op_rms_norm(model->ops, n_rows * n_heads, c->head_dim, c->norm_epsilon, x, w, y, rrms);
}

/* Queries and keys, turned, and values; keys and values go to the pool. Again: they are there already. */
static void project_qkv(const hone_model *model, int64_t l, hone_kv_pool *write_to, const hone_batch *batch,
                        hone_workspace *ws, hone_layer_tape *t, hone_real *q)
{
    const hone_model_config *c = &model->config;
    const hone_layer *layer = &model->layers[l];
    const hone_rope_table *rope = hone_model_rope(model, l);
    hone_ops *ops = model->ops;
    int64_t n = batch->n_rows;
    bool again = !write_to, kept = t && c->head_norms;
    hone_real *q_raw = kept ? t->q_raw : q, *k_raw = kept ? t->k_raw : ws->k;
    const projection qkv[] = {{HONE_ATTN_Q, q_raw}, {HONE_ATTN_K, k_raw}, {HONE_ATTN_V, ws->v}};
    int wanted = !again ? 3 : c->head_norms ? 2 : 1; /* the norm of k has a gradient */
    project(model, l, qkv, wanted, batch, ws->normed, ws, t, false);
    if (wanted < 3)
        project(model, l, qkv + wanted, 3 - wanted, batch, ws->normed, ws, t, true);
    if (c->head_norms) {
        norm_heads(model, n, c->n_heads, q_raw, layer->norm[HONE_Q_NORM], q, kept ? t->q_rrms : NULL);
        norm_heads(model, n, c->n_kv_heads, k_raw, layer->norm[HONE_K_NORM], ws->k, kept ? t->k_rrms : NULL);
    }
    hone_op_rope(ops, rope, n, c->n_heads, batch->positions, q, false);
    if (again)
        return;
    hone_op_rope(ops, rope, n, c->n_kv_heads, batch->positions, ws->k, false);
    hone_op_kv_write(ops, write_to, l, batch->writes, batch->n_writes, ws->k, ws->v);
}

/* What a linear layer gives is added to ws->x, with a post norm after it. out: its rows on the tape, where the gradient
 * of the norm needs them; again: the sum is not wanted. */
static void add_projected(const hone_model *model, int64_t l, hone_linear which, const hone_batch *batch,
                          const hone_real *x, const hone_real *post_norm, hone_real *out, hone_real *rrms,
                          hone_workspace *ws, hone_layer_tape *t, bool again)
{
    const hone_model_config *c = &model->config;
    const projection p[] = {{which, out ? out : ws->projected}};
    project(model, l, p, 1, batch, x, ws, t, again && !post_norm);
    if (post_norm)
        hone_op_rms_norm(model->ops, batch->n_rows, c->n_embd, c->norm_epsilon, p->y, post_norm, ws->projected, rrms);
    if (!again)
        hone_op_add(model->ops, batch->n_rows * c->n_embd, ws->projected, ws->x);
}

void hone_model_forward_layer(const hone_model *model, int64_t l, const hone_kv_pool *pool, hone_kv_pool *write_to,
                              const hone_batch *batch, hone_workspace *ws, hone_layer_tape *t)
{
    const hone_model_config *c = &model->config;
    const hone_layer *layer = &model->layers[l];
    hone_ops *ops = model->ops;
    int64_t n = batch->n_rows;
    hone_real scale = 1.0f / real_sqrt((hone_real)c->head_dim);
    hone_real *q = t ? t->q : ws->q, *attended = t ? t->attended : ws->attended, *gate = t ? t->gate : ws->gate,
              *up = t ? t->up : ws->up;
    hone_op_rms_norm(ops, n, c->n_embd, c->norm_epsilon, ws->x, layer->norm[HONE_ATTN_NORM], ws->normed,
                     t ? t->attn_rrms : NULL);
    project_qkv(model, l, write_to, batch, ws, t, q);
    hone_op_attention(ops, pool, l, batch->spans, batch->n_spans, c->n_heads, hone_model_window(c, l), scale, q,
                      attended, t ? t->softmax : NULL);
    add_projected(model, l, HONE_ATTN_OUTPUT, batch, attended, layer->norm[HONE_ATTN_POST_NORM], t ? t->attn_out : NULL,
                  t ? t->attn_out_rrms : NULL, ws, t, false);

    if (t)
        memcpy(t->x_mid, ws->x, (size_t)(n * c->n_embd) * sizeof(hone_real));
    hone_op_rms_norm(ops, n, c->n_embd, c->norm_epsilon, ws->x, layer->norm[HONE_FFN_NORM], ws->normed,
                     t ? t->ffn_rrms : NULL);
    const projection wide[] = {{HONE_FFN_GATE, gate}, {HONE_FFN_UP, up}};
    project(model, l, wide, 2, batch, ws->normed, ws, t, false);
    (c->gelu_gate ? hone_op_geglu : hone_op_swiglu)(ops, n * c->n_ff, gate, up, ws->activated);
    add_projected(model, l, HONE_FFN_DOWN, batch, ws->activated, layer->norm[HONE_FFN_POST_NORM], t ? t->ffn_out : NULL,
                  t ? t->ffn_out_rrms : NULL, ws, t, !write_to);
}

const hone_real *hone_model_forward(const hone_model *model, hone_kv_pool *pool, const hone_batch *batch,
                                    hone_workspace *ws, hone_tape *tape)
{
    const hone_model_config *c = &model->config;
    hone_op_embed(model->ops, model->token_embd, batch->n_rows, batch->tokens, ws->x);
    if (c->embedding_scale != 0)
        hone_op_scale(model->ops, batch->n_rows * c->n_embd, c->embedding_scale, ws->x);
    for (int64_t l = 0; l < c->n_layers; l++) {
        hone_layer_tape *t = tape && l >= tape->size.first_layer ? &tape->layers[l] : NULL;
        if (t)
            memcpy(t->x_in, ws->x, (size_t)(batch->n_rows * c->n_embd) * sizeof(hone_real));
        hone_model_forward_layer(model, l, pool, pool, batch, ws, t);
    }
    return ws->x;
}

hone_real *hone_model_logits(const hone_model *model, hone_workspace *ws, const int32_t *rows, int64_t n)
{
    const hone_model_config *c = &model->config;
    for (int64_t i = 0; i < n; i++)
        memcpy(ws->hidden + i * c->n_embd, ws->x + rows[i] * c->n_embd, (size_t)c->n_embd * sizeof(hone_real));
    hone_op_rms_norm(model->ops, n, c->n_embd, c->norm_epsilon, ws->hidden, model->output_norm, ws->hidden, NULL);
    hone_linear_job job = {model->output, ws->hidden, c->n_embd, ws->logits, c->n_vocab};
    hone_op_linear(model->ops, &job, 1, n);
    return ws->logits;
}
