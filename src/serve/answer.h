/* answer.h - generated text as the JSON that OpenAI's clients read: choices, log-probabilities, usage. */
#ifndef HONE_SERVE_ANSWER_H
#define HONE_SERVE_ANSWER_H

#include "serve/asked.h"

/* The whole document of a call whose answers are all done. NULL: out of memory. */
json_t *hone_answer_document(const hone_server *server, const hone_asked *asked, hone_call *call);

/* {"prompt_tokens","completion_tokens","total_tokens",...} over all answers; a prompt counts once for its choices. */
json_t *hone_answer_usage(const hone_asked *asked, hone_call *call);
/* What every document and chunk begins with: id, object, created, model. `what` is "chat.completion.chunk", ... */
json_t *hone_answer_head(const hone_server *server, const hone_asked *asked, const char *what);
/* Log-probabilities of generated tokens [from, to) in the form of the endpoint. *text_offset is where the text of the
 * first begins, in characters, and becomes where that of the next one does (completions only). */
json_t *hone_answer_logprobs(const hone_server *server, const hone_asked *asked, const hone_answer *answer, size_t from,
                             size_t to, size_t *text_offset);
const char *hone_answer_finish(hone_finish finish);

#endif
