/* test_machine.c - what is read from /proc and /sys, on trees of files that the test writes: an ordinary machine, the
 * two versions of control groups, and files that are missing, empty or absurd. */
#include "base/machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "unit/temporary.h"

static void put(const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", temporary_folder, name);
    for (char *slash = path + strlen(temporary_folder) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = 0;
        mkdir(path, 0700);
        *slash = '/';
    }
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void test_processor_and_memory(void **state)
{
    (void)state;
    hone_machine m;
    put("proc/cpuinfo",
        "processor\t: 0\nmodel name\t: Some Processor 3000\nflags\t\t: fpu sse4_2 avx fma f16c avx2 xavx2\n"
        "\nprocessor\t: 1\nmodel name\t: Another\nflags\t\t: amx_tile\n");
    put("proc/meminfo", "MemTotal:        4000 kB\nMemFree: 1 kB\nMemAvailable:    3000 kB\n");
    hone_machine_read(temporary_folder, &m);
    assert_string_equal(m.processor, "Some Processor 3000");
    assert_string_equal(m.features, "sse4_2 avx fma f16c avx2");
    assert_true(m.memory_bytes == 4000 * 1024 && m.available_bytes == 3000 * 1024);
    assert_true(m.processor_quota == 0 && m.limit_bytes == 0);
    assert_true(m.n_processors >= 1);
}

static void test_limits_of_either_version_of_control_groups(void **state)
{
    (void)state;
    hone_machine m;
    put("proc/meminfo", "MemTotal: 4000 kB\n");
    put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "50000\n");
    put("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    put("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"); /* none */
    hone_machine_read(temporary_folder, &m);
    assert_true(m.processor_quota == 0.5 && m.limit_bytes == 0);
    put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
    put("sys/fs/cgroup/memory/memory.limit_in_bytes", "2048000\n");
    hone_machine_read(temporary_folder, &m);
    assert_true(m.processor_quota == 0 && m.limit_bytes == 2048000);
    put("sys/fs/cgroup/cpu.max", "150000 100000\n"); /* version 2 */
    put("sys/fs/cgroup/memory.max", "1024000\n");
    hone_machine_read(temporary_folder, &m);
    assert_true(m.processor_quota == 1.5 && m.limit_bytes == 1024000);
}

static void test_what_cannot_be_read_stays_unknown(void **state)
{
    (void)state;
    hone_machine m;
    hone_machine_read(temporary_folder, &m);
    assert_true(!m.processor[0] && !m.features[0] && m.memory_bytes == 0 && m.limit_bytes == 0);
    static char line[4096];
    memset(line, 'a', sizeof line - 1);
    memcpy(line, "model name : ", 13);
    put("proc/cpuinfo", line);
    put("proc/meminfo", "MemTotal:\nMemTotal: -3 kB x\nMemAvailable");
    put("sys/fs/cgroup/cpu.max", "max 100000\n");
    put("sys/fs/cgroup/memory.max", "max\n");
    hone_machine_read(temporary_folder, &m);
    assert_int_equal(strlen(m.processor), sizeof m.processor - 1);
    assert_true(m.processor_quota == 0 && m.limit_bytes == 0);
    uint64_t bytes;
    hone_error err;
    assert_int_equal(hone_folder_free_bytes(temporary_folder, &bytes, &err), HONE_OK);
    assert_int_equal(hone_folder_free_bytes(temporary_path("nothere"), &bytes, &err), HONE_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_processor_and_memory, temporary_begin, temporary_end),
        cmocka_unit_test_setup_teardown(test_limits_of_either_version_of_control_groups, temporary_begin,
                                        temporary_end),
        cmocka_unit_test_setup_teardown(test_what_cannot_be_read_stays_unknown, temporary_begin, temporary_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
