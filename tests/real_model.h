/* real_model.h - where tests find the default model. A test that needs it is skipped, with a message, when it is
 * absent. */
#ifndef HONE_TESTS_REAL_MODEL_H
#define HONE_TESTS_REAL_MODEL_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The path of SmolLM2-135M-Instruct.Q4_1.gguf from the environment variable HONE_TEST_MODEL, or NULL. */
static inline const char *hone_test_model(void)
{
    const char *path = getenv("HONE_TEST_MODEL");
    if (path && *path && access(path, R_OK) == 0)
        return path;
    fprintf(stderr, "skipped: set HONE_TEST_MODEL to SmolLM2-135M-Instruct.Q4_1.gguf to run this test\n");
    return NULL;
}

#endif
