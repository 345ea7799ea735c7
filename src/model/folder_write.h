/* folder_write.h - a model as a Hugging Face folder: the counterpart of model_file.h, which reads one.
 *
 * What is written is what gguf_write.h would write (values, tensors under GGUF's names and with GGUF's order of rows),
 * so whoever can make a GGUF file can make a folder: config.json and generation_config.json come from the values,
 * tokenizer.json and tokenizer_config.json from the vocabulary in them, model.safetensors from the tensors, the rows of
 * q and k brought back to rotary halves. A model that came from a folder keeps that folder's own files beside its new
 * weights. */
#ifndef HONE_MODEL_FOLDER_WRITE_H
#define HONE_MODEL_FOLDER_WRITE_H

#include "format/gguf_write.h"

#include <jansson.h>

#define HONE_FOLDER_WEIGHTS "model.safetensors"

typedef struct hone_folder_content {
    const hone_gguf *model;
    hone_gguf_rows rows; /* of tensors without data */
    void *context;
    hone_dtype type;         /* of every tensor in the folder: HONE_F32, HONE_F16 or HONE_BF16 */
    const char *base_folder; /* where the model came from, when that was a folder; NULL: everything is made */
} hone_folder_content;

/* Whether such a folder can be written, before the weights are there: HONE_UNSUPPORTED names what cannot and the way
 * out. */
hone_status hone_model_folder_check(const hone_folder_content *content, hone_error *err);
/* Into a folder that exists. Each file is replaced as a whole, the weights last: a folder in which they lie is whole.
 */
hone_status hone_model_folder_write(const hone_folder_content *content, const char *folder, hone_progress *progress,
                                    hone_error *err);
/* A folder that does not exist, or is empty; it appears with all its files or not at all. HONE_BAD_INPUT: something is
 * there already. */
hone_status hone_model_folder_create(const hone_folder_content *content, const char *folder, hone_progress *progress,
                                     hone_error *err);

/* tokenizer.json and tokenizer_config.json of the values tokenizer.*; both new references. */
hone_status hone_folder_make_tokenizer(const hone_gguf *model, json_t **tokenizer, json_t **settings, hone_error *err);

#endif
