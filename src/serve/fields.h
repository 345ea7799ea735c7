/* fields.h - reading the members of a JSON object by a table, strictly: a member of the wrong type or out of its range
 * is an error that names it, never a silent default. null is the same as absent, as clients send it. Members that the
 * table does not name are not looked at: real clients send many. */
#ifndef HONE_SERVE_FIELDS_H
#define HONE_SERVE_FIELDS_H

#include "base/status.h"

#include <jansson.h>

typedef enum hone_field_kind {
    HONE_FIELD_BOOL,    /* bool * */
    HONE_FIELD_INTEGER, /* int64_t *, low..high */
    HONE_FIELD_NUMBER,  /* double *, low..high */
    HONE_FIELD_TEXT,    /* const char **, borrowed from the object; without NULs */
    HONE_FIELD_JSON     /* const json_t **, anything */
} hone_field_kind;

typedef struct hone_field {
    const char *name;
    hone_field_kind kind;
    void *value; /* holds the default before */
    double low, high;
} hone_field;

/* HONE_BAD_INPUT; *wrong (may be NULL) is then the name of the member at fault. */
hone_status hone_fields_read(const json_t *object, const hone_field *fields, size_t n, const char **wrong,
                             hone_error *err);
/* What a value is, in words: "a string". */
const char *hone_json_kind(const json_t *value);

#endif
