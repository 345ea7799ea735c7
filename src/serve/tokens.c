/* tokens.c - /tokenize, /detokenize and /tokenizer_info, as vLLM has them and lm-eval uses them. */
#include "serve/api.h"

#include "serve/chat_messages.h"
#include "serve/fields.h"

#include <string.h>

static json_t *list_of_ids(const hone_token_list *ids)
{
    json_t *list = json_array();
    for (size_t i = 0; i < ids->n; i++)
        json_array_append_new(list, json_integer(ids->data[i]));
    return list;
}

static hone_status tokenize(hone_server *server, const json_t *body, hone_token_list *ids, const char **param,
                            hone_error *err)
{
    const char *prompt = NULL;
    const json_t *messages = NULL;
    bool add_special = true, add_generation_prompt = true;
    const hone_field fields[] = {
        {"prompt", HONE_FIELD_TEXT, &prompt, 0, 0},
        {"messages", HONE_FIELD_JSON, &messages, 0, 0},
        {"add_special_tokens", HONE_FIELD_BOOL, &add_special, 0, 0},
        {"add_generation_prompt", HONE_FIELD_BOOL, &add_generation_prompt, 0, 0},
    };
    hone_status status = hone_fields_read(body, fields, sizeof fields / sizeof *fields, param, err);
    if (status != HONE_OK)
        return status;
    if (messages) {
        *param = "messages";
        json_t *clean;
        status = hone_chat_messages_read(messages, &clean, err);
        if (status == HONE_OK)
            status = hone_engine_encode_chat(server->engine, clean, add_generation_prompt, ids, err);
        json_decref(clean);
        return status;
    }
    *param = "prompt";
    if (!prompt)
        return hone_fail(err, HONE_BAD_INPUT, "\"prompt\" is absent; give it, or \"messages\"");
    if (add_special && *prompt)
        return hone_engine_encode_text(server->engine, prompt, ids, err);
    return hone_tokenizer_encode(hone_engine_get_tokenizer(server->engine), prompt, strlen(prompt), true, ids, err);
}

void hone_endpoint_tokenize(hone_server *server, const json_t *body, const hone_http_request *request,
                            hone_http_reply *reply)
{
    (void)request;
    hone_token_list ids = {0};
    const char *param = NULL;
    hone_error err;
    hone_served_model *model = hone_api_model(server, body, reply);
    if (!model)
        return;
    hone_served_release(model);
    hone_status status = tokenize(server, body, &ids, &param, &err);
    if (status == HONE_OK)
        hone_api_answer(reply, json_pack("{s:o, s:I, s:I}", "tokens", list_of_ids(&ids), "count", (json_int_t)ids.n,
                                         "max_model_len", (json_int_t)hone_engine_context_tokens(server->engine)));
    else
        hone_api_fail(reply, status, param, &err);
    hone_token_list_clear(&ids);
}

void hone_endpoint_detokenize(hone_server *server, const json_t *body, const hone_http_request *request,
                              hone_http_reply *reply)
{
    (void)request;
    hone_token_list ids = {0};
    hone_buffer text = {0};
    hone_error err;
    const json_t *tokens = json_object_get(body, "tokens");
    hone_served_model *model = hone_api_model(server, body, reply);
    if (!model)
        return;
    hone_served_release(model);
    hone_status status = json_is_array(tokens) ? hone_api_read_ids(server, tokens, "tokens", &ids, &err)
                                               : hone_fail(&err, HONE_BAD_INPUT, "\"tokens\" is %s; it takes a list",
                                                           hone_json_kind(tokens));
    if (status == HONE_OK)
        status = hone_tokenizer_decode(hone_engine_get_tokenizer(server->engine), ids.data, ids.n, true, &text, &err);
    if (status == HONE_OK)
        hone_api_answer(reply, json_pack("{s:o}", "prompt", hone_api_text(text.data ? text.data : "", text.length)));
    else
        hone_api_fail(reply, status, "tokens", &err);
    hone_token_list_clear(&ids);
    hone_buffer_clear(&text);
}

static json_t *special(const hone_tokenizer *tokenizer, int32_t id)
{
    size_t length = 0;
    const char *text = id >= 0 ? hone_tokenizer_piece(tokenizer, id, &length, NULL) : NULL;
    return text ? hone_api_text(text, length) : json_null();
}

void hone_endpoint_tokenizer_info(hone_server *server, const json_t *body, const hone_http_request *request,
                                  hone_http_reply *reply)
{
    (void)body, (void)request;
    const hone_tokenizer *t = hone_engine_get_tokenizer(server->engine);
    const char *chat_template = hone_tokenizer_chat_template(t);
    hone_api_answer(reply, json_pack("{s:s, s:o, s:o, s:o, s:o, s:b, s:I, s:I}", "tokenizer_class", "hone", "eos_token",
                                     special(t, hone_tokenizer_eos(t)), "bos_token", special(t, hone_tokenizer_bos(t)),
                                     /* few files name one; where a client pads, it may do so with the end */
                                     "pad_token", special(t, hone_tokenizer_eos(t)), "chat_template",
                                     chat_template ? hone_api_text(chat_template, strlen(chat_template)) : json_null(),
                                     "add_bos_token", hone_tokenizer_add_bos(t), "vocab_size",
                                     (json_int_t)hone_tokenizer_size(t), "model_max_length",
                                     (json_int_t)hone_engine_context_tokens(server->engine)));
}
