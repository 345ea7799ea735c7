/* memory.c - sizes added up, and the choice of a pass. */
#include "train/memory.h"

#include "base/machine.h"
#include "base/text.h"

enum { PROGRAM_MIB = 24, OPTIMISER_COPIES = 3 }; /* gradient and both moments */

static const int64_t pass_rows[] = {HONE_PASS_ROWS, 512, 384, 256, 192, 128, 96, 64, 0};

static void add_up(const hone_model *model, hone_train_memory *m)
{
    m->passes = hone_train_step_bytes(model, &m->step);
    size_t turn = m->passes > m->scoring ? m->passes : m->scoring; /* never both: passes are given back to score */
    m->total = m->program + m->model + m->trained + m->examples + turn;
}

static hone_status refuse(const hone_train_memory *m, uint64_t limit, const char *whose, hone_error *err)
{
    char text[7][32];
    const uint64_t bytes[] = {limit, m->total, m->program + m->model, m->trained, m->passes, m->scoring, m->examples};
    for (int i = 0; i < 7; i++)
        hone_format_bytes(bytes[i], text[i]);
    return hone_fail(
        err, HONE_NO_MEMORY,
        "%s of %s is too little: at least %s are needed (model and program %s, what is trained and optimiser %s, "
        "passes of %lld rows with blocks computed again %s, scoring %s, examples %s). Allow that much, or "
        "use a smaller rank, fewer layers (--targets) or shorter examples (--max-tokens)",
        whose, text[0], text[1], text[2], text[3], (long long)m->step.max_rows, text[4], text[5], text[6]);
}

hone_status hone_train_memory_plan(const hone_engine *engine, const hone_trainable *trained,
                                   const hone_train_example *examples, size_t n_examples, int batch, bool scored,
                                   uint64_t limit_bytes, hone_train_memory *out, hone_error *err)
{
    const hone_model *model = hone_engine_get_model(engine);
    int64_t longest = 0, together = batch < (int64_t)n_examples ? batch : (int64_t)n_examples;
    hone_engine_memory opened = hone_engine_get_memory(engine);
    hone_train_memory m = {.program = (size_t)PROGRAM_MIB << 20,
                           .model = opened.model,
                           .scoring = scored ? opened.working : 0,
                           .trained = trained->bytes + OPTIMISER_COPIES * trained->n_parameters * sizeof(hone_real)};
    for (size_t i = 0; i < n_examples; i++) {
        longest = (int64_t)examples[i].n_ids > longest ? (int64_t)examples[i].n_ids : longest;
        m.examples += sizeof(hone_train_example) + 2 * examples[i].n_ids * (sizeof(int32_t) + sizeof(float));
    }
    for (int recompute = 0; recompute < 2; recompute++)
        for (size_t i = 0; i < sizeof pass_rows / sizeof *pass_rows; i++) {
            int64_t rows = pass_rows[i] > longest ? pass_rows[i] : longest;
            if (rows > together * longest)
                rows = together * longest;
            m.step = (hone_step_size){.max_rows = rows,
                                      .max_examples = together,
                                      .rank = trained->tape.rank,
                                      .parts = together * longest > rows,
                                      .recompute = recompute,
                                      .first_layer = trained->tape.first_layer,
                                      .dora = trained->tape.dora};
            add_up(model, &m);
            *out = m;
            if (limit_bytes && m.total <= limit_bytes)
                return HONE_OK;
            if (!limit_bytes)
                break;
        }
    if (limit_bytes)
        return refuse(out, limit_bytes, "a limit", err);
    hone_machine machine;
    hone_machine_read("", &machine);
    uint64_t there = machine.memory_bytes;
    if (machine.limit_bytes && (!there || machine.limit_bytes < there))
        there = machine.limit_bytes;
    if (there && out->total > there)
        return refuse(out, there, "this machine's memory", err);
    uint64_t room = machine.available_bytes ? machine.available_bytes : there;
    room = machine.limit_bytes && machine.limit_bytes < room ? machine.limit_bytes : room;
    m.step.recompute = false;
    add_up(model, &m);
    if (!room || m.total <= room)
        *out = m;
    return HONE_OK;
}
