/* real_model.h - where tests find the real models. A test that needs one is skipped, with a message, when it is absent.
 */
#ifndef HONE_TESTS_REAL_MODEL_H
#define HONE_TESTS_REAL_MODEL_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The path that the environment variable names, or NULL when no file is there. */
static inline const char *hone_test_file(const char *variable, const char *file)
{
    const char *path = getenv(variable);
    if (path && *path && access(path, R_OK) == 0)
        return path;
    fprintf(stderr, "skipped: set %s to %s to run this test\n", variable, file);
    return NULL;
}

static inline const char *hone_test_model(void)
{
    return hone_test_file("HONE_TEST_MODEL", "SmolLM2-135M-Instruct.Q4_1.gguf");
}

/* Gemma 3: another architecture, K-quants, a SentencePiece vocabulary. */
static inline const char *hone_test_gemma(void)
{
    return hone_test_file("HONE_TEST_GEMMA", "gemma-3-270m-q4_k_m.gguf");
}

#endif
