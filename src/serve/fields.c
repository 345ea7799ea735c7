/* fields.c - reading the members of a JSON object by a table. */
#include "serve/fields.h"

#include <math.h>
#include <string.h>

const char *hone_json_kind(const json_t *value)
{
    if (!value)
        return "absent";
    static const char *const names[] = {
        [JSON_OBJECT] = "an object", [JSON_ARRAY] = "a list", [JSON_STRING] = "a string", [JSON_INTEGER] = "an integer",
        [JSON_REAL] = "a number",    [JSON_TRUE] = "true",    [JSON_FALSE] = "false",     [JSON_NULL] = "null"};
    return names[json_typeof(value)];
}

static hone_status read_integer(const hone_field *f, const json_t *value, hone_error *err)
{
    double number = json_number_value(value);
    if (!json_is_number(value) || number != floor(number))
        return hone_fail(err, HONE_BAD_INPUT, "\"%s\" is %s; it takes an integer", f->name, hone_json_kind(value));
    if (number < f->low || number > f->high)
        return hone_fail(err, HONE_BAD_INPUT, "\"%s\" is %.15g; it takes %.15g to %.15g", f->name, number, f->low,
                         f->high);
    *(int64_t *)f->value = json_is_integer(value) ? (int64_t)json_integer_value(value) : (int64_t)number;
    return HONE_OK;
}

static hone_status read_number(const hone_field *f, const json_t *value, hone_error *err)
{
    double number = json_number_value(value);
    if (!json_is_number(value))
        return hone_fail(err, HONE_BAD_INPUT, "\"%s\" is %s; it takes a number", f->name, hone_json_kind(value));
    if (!(number >= f->low && number <= f->high))
        return hone_fail(err, HONE_BAD_INPUT, "\"%s\" is %g; it takes %g to %g", f->name, number, f->low, f->high);
    *(double *)f->value = number;
    return HONE_OK;
}

static hone_status read_text(const hone_field *f, const json_t *value, hone_error *err)
{
    if (!json_is_string(value))
        return hone_fail(err, HONE_BAD_INPUT, "\"%s\" is %s; it takes a string", f->name, hone_json_kind(value));
    if (strlen(json_string_value(value)) != json_string_length(value))
        return hone_fail(err, HONE_BAD_INPUT, "\"%s\" holds a NUL character", f->name);
    *(const char **)f->value = json_string_value(value);
    return HONE_OK;
}

static hone_status read_one(const hone_field *f, const json_t *value, hone_error *err)
{
    switch (f->kind) {
    case HONE_FIELD_BOOL:
        if (!json_is_boolean(value))
            return hone_fail(err, HONE_BAD_INPUT, "\"%s\" is %s; it takes true or false", f->name,
                             hone_json_kind(value));
        *(bool *)f->value = json_is_true(value);
        return HONE_OK;
    case HONE_FIELD_INTEGER:
        return read_integer(f, value, err);
    case HONE_FIELD_NUMBER:
        return read_number(f, value, err);
    case HONE_FIELD_TEXT:
        return read_text(f, value, err);
    case HONE_FIELD_JSON:
        *(const json_t **)f->value = value;
        return HONE_OK;
    }
    return HONE_OK;
}

hone_status hone_fields_read(const json_t *object, const hone_field *fields, size_t n, const char **wrong,
                             hone_error *err)
{
    for (size_t i = 0; i < n; i++) {
        const json_t *value = json_object_get(object, fields[i].name);
        if (!value || json_is_null(value))
            continue;
        hone_status status = read_one(&fields[i], value, err);
        if (status != HONE_OK) {
            if (wrong)
                *wrong = fields[i].name;
            return status;
        }
    }
    return HONE_OK;
}
