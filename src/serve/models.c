/* models.c - /health, and /v1/models: the base and its adapters by name. */
#include "serve/api.h"

#include <string.h>

void hone_endpoint_health(hone_server *server, const json_t *body, const hone_http_request *request,
                          hone_http_reply *reply)
{
    (void)body, (void)request;
    hone_work_counts counts = hone_worker_count(server->worker);
    hone_buffer_printf(&reply->body, "{\"status\":\"ok\",\"active\":%zu,\"waiting\":%zu}", counts.active,
                       counts.waiting);
}

/* `parent` and `root` as vLLM has them: the base's name for an adapter. */
static json_t *describe(const hone_server *server, const hone_served_model *model)
{
    const char *base = hone_served_base_name(server->served);
    int64_t most_tokens =
        model->embeds_only ? hone_embedder_most_tokens(model->embedder) : hone_engine_context_tokens(server->engine);
    return json_pack("{s:s, s:s, s:I, s:s, s:s, s:s?, s:I}", "id", model->name, "object", "model", "created",
                     (json_int_t)server->started, "owned_by", "hone", "root",
                     model->adapter || model->embeds_only ? model->name : base, "parent", model->adapter ? base : NULL,
                     "max_model_len", (json_int_t)most_tokens);
}

typedef struct listing {
    const hone_server *server;
    json_t *list;
} listing;

static void add_to_list(void *context, const hone_served_model *model)
{
    listing *l = context;
    json_array_append_new(l->list, describe(l->server, model));
}

void hone_endpoint_models(hone_server *server, const json_t *body, const hone_http_request *request,
                          hone_http_reply *reply)
{
    (void)body;
    const char *name = request->path + strlen("/v1/models");
    if (*name == '/' && name[1]) {
        json_t *asked = json_pack("{s:o}", "model", hone_api_text(name + 1, strlen(name + 1)));
        hone_served_model *model = hone_api_model(server, asked, reply);
        if (model)
            hone_api_answer(reply, describe(server, model));
        hone_served_release(model);
        json_decref(asked);
        return;
    }
    listing l = {.server = server, .list = json_array()};
    hone_served_visit(server->served, add_to_list, &l);
    hone_api_answer(reply, json_pack("{s:s, s:o}", "object", "list", "data", l.list));
}
