/* machine.c - reading /proc and /sys. */
#include "base/machine.h"

#include "base/file.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

/* Opens root/name, NULL when it is not there. */
static FILE *open_below(const char *root, const char *name)
{
    char path[512];
    int n = snprintf(path, sizeof path, "%s%s", root, name);
    return n > 0 && n < (int)sizeof path ? fopen(path, "r") : NULL;
}

/* What follows "key : " in a line, without its end; NULL when the line has another key. */
static char *value_of(char *line, const char *key)
{
    size_t length = strlen(key);
    if (strncmp(line, key, length) != 0)
        return NULL;
    char *at = line + length + strspn(line + length, " \t");
    if (*at != ':')
        return NULL;
    at += 1 + strspn(at + 1, " \t");
    at[strcspn(at, "\r\n")] = 0;
    return at;
}

static void keep_features(char *flags, char *out, size_t size)
{
    static const char *const known[] = {"sse4_2",      "avx",      "avx2",     "fma",      "f16c",
                                        "avx512f",     "avx512bw", "avx512dq", "avx512vl", "avx512_vnni",
                                        "avx512_bf16", "amx_tile", "amx_int8", "amx_bf16"};
    size_t used = 0;
    char *rest;
    for (char *flag = strtok_r(flags, " ", &rest); flag; flag = strtok_r(NULL, " ", &rest))
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            if (strcmp(flag, known[i]) == 0 && used + strlen(flag) + 2 < size)
                used += (size_t)snprintf(out + used, size - used, "%s%s", used ? " " : "", flag);
}

static void read_processor(const char *root, hone_machine *m)
{
    FILE *f = open_below(root, "/proc/cpuinfo");
    char *line = NULL, *value;
    size_t capacity = 0;
    while (f && !(m->processor[0] && m->features[0]) && getline(&line, &capacity, f) >= 0) {
        if (!m->processor[0] && (value = value_of(line, "model name")))
            snprintf(m->processor, sizeof m->processor, "%s", value);
        else if (!m->features[0] && (value = value_of(line, "flags")))
            keep_features(value, m->features, sizeof m->features);
    }
    free(line);
    if (f)
        fclose(f);
}

static void read_memory(const char *root, hone_machine *m)
{
    FILE *f = open_below(root, "/proc/meminfo");
    char line[256], *value;
    while (f && fgets(line, sizeof line, f)) {
        if ((value = value_of(line, "MemTotal")))
            m->memory_bytes = strtoull(value, NULL, 10) * 1024;
        else if ((value = value_of(line, "MemAvailable")))
            m->available_bytes = strtoull(value, NULL, 10) * 1024;
    }
    if (f)
        fclose(f);
}

/* Up to n numbers of a file; "max" and what is no number end them. */
static int read_numbers(const char *root, const char *name, double *out, int n)
{
    FILE *f = open_below(root, name);
    int got = 0;
    while (f && got < n && fscanf(f, "%lf", &out[got]) == 1)
        got++;
    if (f)
        fclose(f);
    return got;
}

static void read_limits(const char *root, hone_machine *m)
{
    double v[2], period;
    if (read_numbers(root, "/sys/fs/cgroup/cpu.max", v, 2) == 2 && v[0] > 0 && v[1] > 0)
        m->processor_quota = v[0] / v[1];
    else if (read_numbers(root, "/sys/fs/cgroup/cpu/cpu.cfs_quota_us", v, 1) == 1 && v[0] > 0 &&
             read_numbers(root, "/sys/fs/cgroup/cpu/cpu.cfs_period_us", &period, 1) == 1 && period > 0)
        m->processor_quota = v[0] / period;
    if (read_numbers(root, "/sys/fs/cgroup/memory.max", v, 1) != 1 &&
        read_numbers(root, "/sys/fs/cgroup/memory/memory.limit_in_bytes", v, 1) != 1)
        return;
    if (v[0] > 0 && (m->memory_bytes == 0 || v[0] < (double)m->memory_bytes)) /* version 1 writes 2^63 for none */
        m->limit_bytes = (uint64_t)v[0];
}

void hone_machine_read(const char *root, hone_machine *out)
{
    *out = (hone_machine){.n_processors = 1};
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        out->n_processors = CPU_COUNT(&set);
    read_processor(root, out);
    read_memory(root, out);
    read_limits(root, out);
}

hone_status hone_folder_free_bytes(const char *path, uint64_t *out, hone_error *err)
{
    struct statvfs s;
    if (statvfs(path, &s) < 0)
        return hone_file_fail_errno(err, path, "ask for free space");
    *out = (uint64_t)s.f_bavail * s.f_frsize;
    return HONE_OK;
}
