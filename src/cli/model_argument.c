/* model_argument.c - from what -m says to an opened engine. */
#include "cli/model_argument.h"

#include "catalogue/models.h"
#include "model/adapter_find.h"
#include "model/model.h"

#include <stdio.h>
#include <stdlib.h>

hone_status hone_cli_read_numerics(const char *text, hone_numerics *out, hone_error *err)
{
    *out = HONE_NUMERICS_F32;
    if (text && !hone_numerics_parse(text, out))
        return hone_fail(err, HONE_BAD_INPUT, "--numerics takes f32 or bf16, not \"%.40s\"", text);
    return HONE_OK;
}

void hone_cli_warn_about_numerics(const hone_ops *ops)
{
    if (hone_ops_numerics(ops) == HONE_NUMERICS_BF16 && !hone_ops_has_bf16(ops))
        fprintf(stderr, "warning: no AVX-512 BF16 here (or HONE_CPU leaves it out): --numerics bf16 gives the same "
                        "answers as where it is, but slower than f32\n");
}

hone_status hone_cli_open_engine(const char *model, int64_t threads, uint64_t cache_bytes, const char *numerics,
                                 hone_engine **out, hone_error *err)
{
    char *path = NULL;
    *out = NULL;
    if (!model)
        return hone_fail(err, HONE_BAD_INPUT, "no model: say which with -m, for instance -m smollm2-135m");
    if (threads < 0 || threads > 256)
        return hone_fail(err, HONE_BAD_INPUT, "--threads %lld; it takes 0 (all) to 256", (long long)threads);
    hone_engine_options options = {.n_threads = (int)threads, .cache_bytes = (size_t)cache_bytes};
    hone_status status = hone_cli_read_numerics(numerics, &options.numerics, err);
    if (status == HONE_OK)
        status = hone_model_resolve(model, &path, err);
    if (status == HONE_OK)
        status = hone_engine_open(path, &options, out, err);
    if (status == HONE_OK)
        hone_cli_warn_about_numerics(hone_engine_get_model(*out)->ops);
    free(path);
    return status;
}

hone_status hone_cli_find_files(const char *model, const char *adapter, char **path, char **folder, hone_error *err)
{
    *path = *folder = NULL;
    hone_status status = hone_model_resolve(model, path, err);
    return status == HONE_OK && adapter ? hone_adapter_find(adapter, folder, err) : status;
}
