/* model_argument.c - from what -m says to an opened engine. */
#include "cli/model_argument.h"

#include "catalogue/models.h"

#include <stdlib.h>

hone_status hone_cli_open_engine(const char *model, int64_t threads, uint64_t cache_bytes, hone_engine **out,
                                 hone_error *err)
{
    char *path = NULL;
    *out = NULL;
    if (!model)
        return hone_fail(err, HONE_BAD_INPUT, "no model: say which with -m, for instance -m smollm2-135m");
    if (threads < 0 || threads > 256)
        return hone_fail(err, HONE_BAD_INPUT, "--threads %lld; it takes 0 (all) to 256", (long long)threads);
    hone_status status = hone_model_resolve(model, &path, err);
    hone_engine_options options = {.n_threads = (int)threads, .cache_bytes = (size_t)cache_bytes};
    if (status == HONE_OK)
        status = hone_engine_open(path, &options, out, err);
    free(path);
    return status;
}
