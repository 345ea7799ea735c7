/* hash.c - SHA-256 by OpenSSL's EVP interface; FNV-1a. */
#include "base/hash.h"

#include "base/file.h"

#include <openssl/evp.h>
#include <stdlib.h>

struct hone_sha256 {
    EVP_MD_CTX *context;
};

hone_sha256 *hone_sha256_create(void)
{
    hone_sha256 *h = calloc(1, sizeof *h);
    if (!h)
        return NULL;
    h->context = EVP_MD_CTX_new();
    if (!h->context || EVP_DigestInit_ex(h->context, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(h->context);
        free(h);
        return NULL;
    }
    return h;
}

void hone_sha256_update(hone_sha256 *h, const void *data, size_t length)
{
    EVP_DigestUpdate(h->context, data, length);
}

void hone_sha256_finish(hone_sha256 *h, char hex[65])
{
    unsigned char digest[32] = {0};
    static const char digits[] = "0123456789abcdef";
    EVP_DigestFinal_ex(h->context, digest, NULL);
    for (int i = 0; i < 32; i++) {
        hex[2 * i] = digits[digest[i] >> 4];
        hex[2 * i + 1] = digits[digest[i] & 15];
    }
    hex[64] = 0;
    EVP_MD_CTX_free(h->context);
    free(h);
}

void hone_sha256_hex(const void *data, size_t length, char hex[65])
{
    hone_sha256 *h = hone_sha256_create();
    hex[0] = 0;
    if (!h)
        return;
    hone_sha256_update(h, data, length);
    hone_sha256_finish(h, hex);
}

hone_status hone_sha256_file(const char *path, char hex[65], hone_error *err)
{
    hone_map map;
    hone_status status = hone_map_open(path, &map, err);
    if (status != HONE_OK)
        return status;
    hone_sha256_hex(map.data, map.size_bytes, hex);
    hone_map_close(&map);
    return hex[0] ? HONE_OK : hone_fail(err, HONE_NO_MEMORY, "%s: out of memory", path);
}

uint64_t hone_fnv1a(uint64_t state, const void *data, size_t length)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < length; i++)
        state = (state ^ p[i]) * 0x100000001b3ull;
    return state;
}
