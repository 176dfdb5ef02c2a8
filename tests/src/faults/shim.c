/* Preloaded into the daemons of a test: fails chosen calls on files of the instance's store and queue.
 *
 * FAULTS_CONTROL names a file that is mapped (struct control), FAULTS_BELOW the instance. The n-th matching call fails,
 * (one that opens a file counts only when it makes it) or, in a lasting fault, each from the n-th on, until the test disarms it. Sockets, logs and run files are left alone. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

struct control {
    _Atomic uint32_t at;     /* 0: nothing fails */
    _Atomic uint32_t error;
    _Atomic uint32_t lasting;
    _Atomic uint32_t count;  /* matching calls since it was armed */
    _Atomic uint32_t fired;
    char only[64];           /* part of the path; empty: any */
    char what[256];          /* the first call that failed */
};

static struct control *control;
static char below[1024];

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("FAULTS_CONTROL"), *root = getenv("FAULTS_BELOW");
    int fd;
    if (!path || !root || (fd = open(path, O_RDWR)) < 0)
        return;
    void *map = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    snprintf(below, sizeof below, "%s", root);
    if (map != MAP_FAILED)
        control = map;
}

static void name_of(int fd, char *out, size_t size)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, out, size - 1);
    out[length < 0 ? 0 : length] = 0;
}

/* Mailboxes are addressed by /proc/self/fd/N/name. */
static void real(int folder, const char *path, char *out, size_t size)
{
    int fd, used = 0;
    char base[3000] = "";
    if (sscanf(path, "/proc/self/fd/%d%n", &fd, &used) == 1) {
        name_of(fd, base, sizeof base);
        path += used;
    } else if (path[0] != '/' && folder != AT_FDCWD) {
        name_of(folder, base, sizeof base);
    }
    snprintf(out, size, "%s%s%s", base, path[0] == '/' ? "" : "/", path);
}

static int fails(const char *call, const char *path)
{
    uint32_t at = atomic_load(&control->at);
    size_t length = strlen(below);
    if (!at || strncmp(path, below, length) || (strncmp(path + length, "/store/", 7) && strncmp(path + length, "/queue/", 7)))
        return 0;
    if (control->only[0] && !strstr(path, control->only))
        return 0;
    uint32_t number = atomic_fetch_add(&control->count, 1) + 1;
    if (number != at && !(atomic_load(&control->lasting) && number > at))
        return 0;
    if (atomic_fetch_add(&control->fired, 1) == 0)
        snprintf(control->what, sizeof control->what, "%s %s", call, path + length);
    errno = (int)atomic_load(&control->error);
    return 1;
}

static int fails_fd(const char *call, int fd)
{
    char path[4096];
    if (!control || !atomic_load(&control->at))
        return 0;
    int kept = errno;
    name_of(fd, path, sizeof path);
    errno = kept;
    return fails(call, path);
}

static int fails_at(const char *call, int folder, const char *path)
{
    char whole[4096];
    if (!control || !atomic_load(&control->at))
        return 0;
    int kept = errno;
    real(folder, path, whole, sizeof whole);
    errno = kept;
    return fails(call, whole);
}

#define REAL(name) ((typeof(&name))dlsym(RTLD_NEXT, #name))

#define OPEN(name)                                                        \
    int name(const char *path, int flags, ...)                            \
    {                                                                     \
        va_list rest;                                                     \
        va_start(rest, flags);                                            \
        mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, mode_t) : 0; \
        va_end(rest);                                                     \
        if ((flags & O_CREAT) && faccessat(AT_FDCWD, path, F_OK, 0) && fails_at("open", AT_FDCWD, path)) \
            return -1;                                                    \
        return REAL(name)(path, flags, mode);                             \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                      \
    int name(int folder, const char *path, int flags, ...)                \
    {                                                                     \
        va_list rest;                                                     \
        va_start(rest, flags);                                            \
        mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, mode_t) : 0; \
        va_end(rest);                                                     \
        if ((flags & O_CREAT) && faccessat(folder, path, F_OK, 0) && fails_at("open", folder, path)) \
            return -1;                                                    \
        return REAL(name)(folder, path, flags, mode);                     \
    }
OPENAT(openat)
OPENAT(openat64)

ssize_t write(int fd, const void *bytes, size_t count)
{
    return fails_fd("write", fd) ? -1 : REAL(write)(fd, bytes, count);
}
ssize_t writev(int fd, const struct iovec *pieces, int count)
{
    return fails_fd("writev", fd) ? -1 : REAL(writev)(fd, pieces, count);
}
ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at)
{
    return fails_fd("pwrite", fd) ? -1 : REAL(pwrite)(fd, bytes, count, at);
}
ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at)
{
    return fails_fd("pwrite", fd) ? -1 : REAL(pwrite64)(fd, bytes, count, at);
}
int fdatasync(int fd) { return fails_fd("fdatasync", fd) ? -1 : REAL(fdatasync)(fd); }
int fsync(int fd) { return fails_fd("fsync", fd) ? -1 : REAL(fsync)(fd); }
int syncfs(int fd) { return fails_fd("syncfs", fd) ? -1 : REAL(syncfs)(fd); }
int fallocate(int fd, int mode, off_t at, off_t count)
{
    return fails_fd("fallocate", fd) ? -1 : REAL(fallocate)(fd, mode, at, count);
}
int fallocate64(int fd, int mode, off64_t at, off64_t count)
{
    return fails_fd("fallocate", fd) ? -1 : REAL(fallocate64)(fd, mode, at, count);
}
int rename(const char *from, const char *to)
{
    return fails_at("rename", AT_FDCWD, to) ? -1 : REAL(rename)(from, to);
}
int renameat(int one, const char *from, int other, const char *to)
{
    return fails_at("rename", other, to) ? -1 : REAL(renameat)(one, from, other, to);
}
int renameat2(int one, const char *from, int other, const char *to, unsigned int flags)
{
    return fails_at("rename", other, to) ? -1 : REAL(renameat2)(one, from, other, to, flags);
}
int link(const char *from, const char *to)
{
    return fails_at("link", AT_FDCWD, to) ? -1 : REAL(link)(from, to);
}
int linkat(int one, const char *from, int other, const char *to, int flags)
{
    return fails_at("link", other, to) ? -1 : REAL(linkat)(one, from, other, to, flags);
}
int mkdir(const char *path, mode_t mode)
{
    return fails_at("mkdir", AT_FDCWD, path) ? -1 : REAL(mkdir)(path, mode);
}
