/* process.c - running another program: fork, exec, one pipe for what it writes.
 *
 * The child leads its own process group, so that a Ctrl-C on the terminal reaches hone alone, which then ends the
 * whole group. A second pipe, closed by a successful exec, carries errno back when exec fails. */
#include "base/process.h"

#include "base/cancel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KEEP_BYTES = 65536, TICK_MS = 200, GRACE_TICKS = 15 };

extern char **environ;

/* Only async-signal-safe calls: other threads of this process may hold locks. */
static void become(const hone_process *process, char **environment, pid_t parent, int output, int report)
{
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int null = open("/dev/null", O_RDONLY);
    if (getppid() == parent && null >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(output, STDOUT_FILENO) >= 0 &&
        dup2(output, STDERR_FILENO) >= 0) {
        signal(SIGINT, SIG_DFL);
        signal(SIGTERM, SIG_DFL);
        execvpe(process->argv[0], (char *const *)(uintptr_t)process->argv, environment);
    }
    int e = errno;
    ssize_t written = write(report, &e, sizeof e);
    (void)written;
    _exit(127);
}

/* The environment with `variable` put in place of an older one of that name. Borrows the strings. */
static char **environment_with(const char *variable)
{
    size_t n = 0;
    while (environ && environ[n])
        n++;
    char **out = calloc(n + 2, sizeof *out);
    if (!out)
        return NULL;
    size_t kept = 0, name = variable ? strcspn(variable, "=") + 1 : 0;
    for (size_t i = 0; i < n; i++)
        if (!variable || strncmp(environ[i], variable, name) != 0)
            out[kept++] = environ[i];
    if (variable)
        out[kept] = (char *)(uintptr_t)variable;
    return out;
}

static void keep_tail(hone_buffer *output)
{
    if (output->length <= KEEP_BYTES)
        return;
    memmove(output->data, output->data + output->length - KEEP_BYTES, KEEP_BYTES);
    output->length = KEEP_BYTES;
    output->data[KEEP_BYTES] = 0;
}

/* Ends the group: asks first, then insists. */
static void end_group(pid_t child, int *wait_status)
{
    kill(-child, SIGTERM);
    for (int i = 0; i < GRACE_TICKS; i++) {
        if (waitpid(child, wait_status, WNOHANG) == child) {
            kill(-child, SIGKILL);
            return;
        }
        poll(NULL, 0, TICK_MS);
    }
    kill(-child, SIGKILL);
    waitpid(child, wait_status, 0);
}

hone_status hone_process_run(const hone_process *process, hone_buffer *output, int *exit_code, hone_error *err)
{
    hone_status status = HONE_OK;
    int out[2] = {-1, -1}, report[2] = {-1, -1}, wait_status = 0;
    pid_t child = -1, parent = getpid();
    bool over = false;
    char **environment = environment_with(process->variable);
    if (!environment)
        return hone_fail(err, HONE_NO_MEMORY, "out of memory");
    if (pipe2(out, O_CLOEXEC) < 0 || pipe2(report, O_CLOEXEC) < 0 || (child = fork()) < 0) {
        status = hone_fail(err, HONE_IO, "%s: cannot start it: %s", process->argv[0], strerror(errno));
        goto done;
    }
    if (child == 0)
        become(process, environment, parent, out[1], report[1]);
    setpgid(child, child); /* also here: whichever of the two runs first */
    close(out[1]);
    close(report[1]);
    out[1] = report[1] = -1;
    int exec_errno;
    if (read(report[0], &exec_errno, sizeof exec_errno) == sizeof exec_errno) {
        waitpid(child, &wait_status, 0);
        status = hone_fail(err, exec_errno == ENOENT || exec_errno == EACCES ? HONE_NOT_FOUND : HONE_IO,
                           "%s: cannot start it: %s", process->argv[0], strerror(exec_errno));
        goto done;
    }
    /* A grandchild may keep the pipe open; the end of the child itself is what counts. */
    for (bool open_pipe = true; !over;) {
        struct pollfd wait = {open_pipe ? out[0] : -1, POLLIN, 0};
        if (poll(&wait, 1, TICK_MS) > 0) {
            char piece[4096];
            ssize_t n = read(out[0], piece, sizeof piece);
            if (n > 0) {
                hone_buffer_append(output, piece, (size_t)n);
                keep_tail(output);
                if (!hone_cancel_requested())
                    continue;
            }
            open_pipe = n > 0 || (n < 0 && errno == EINTR);
        }
        if (hone_cancel_requested()) {
            end_group(child, &wait_status);
            status = hone_fail(err, HONE_CANCELLED, "%s: stopped", process->argv[0]);
            goto done;
        }
        over = waitpid(child, &wait_status, WNOHANG) == child;
        if (process->tick)
            process->tick(process->context);
    }
    *exit_code = WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
    if (output->failed)
        status = hone_fail(err, HONE_NO_MEMORY, "out of memory");
done:
    for (int i = 0; i < 2; i++) {
        if (out[i] >= 0)
            close(out[i]);
        if (report[i] >= 0)
            close(report[i]);
    }
    free(environment);
    return status;
}
