/* hash.h - SHA-256 (FIPS 180-4, by OpenSSL) for content identity; FNV-1a for tables in memory. */
#ifndef HONE_BASE_HASH_H
#define HONE_BASE_HASH_H

#include "base/status.h"

typedef struct hone_sha256 hone_sha256;

hone_sha256 *hone_sha256_create(void); /* NULL when out of memory */
void hone_sha256_update(hone_sha256 *h, const void *data, size_t length);
/* Writes 64 lower-case hex digits and a NUL, then frees `h`. */
void hone_sha256_finish(hone_sha256 *h, char hex[65]);

void hone_sha256_hex(const void *data, size_t length, char hex[65]);
hone_status hone_sha256_file(const char *path, char hex[65], hone_error *err);

/* 64-bit FNV-1a. Start with HONE_FNV_START; chain by passing the result on. Not for security. */
#define HONE_FNV_START 0xcbf29ce484222325ull
uint64_t hone_fnv1a(uint64_t state, const void *data, size_t length);

#endif
