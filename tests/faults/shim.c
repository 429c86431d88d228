/* Preloaded into every process of a gateway under test: disks that fail or are slow, and clocks that step.

   What it does stands in a file of eight numbers that FREEHOLD_TEST_FAULT_CONTROL names and all processes map, so that a
   test switches it while they run, and the n-th call is the n-th of all of them together. Only files below one of the
   paths in FREEHOLD_TEST_FAULT_PATHS (divided by colons; each is the beginning of a path) are touched. The layout is that
   of `Control` in shim.py. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { WRITE = 1, SYNC = 2, TRUNCATE = 4, OPEN = 8 };

struct control {
    int64_t kinds;      /* which calls: a sum of the above; 0 is none */
    int64_t error;      /* the errno they fail with; 0: they do not fail */
    int64_t first;      /* the first call that fails, counted from 1 */
    int64_t last;       /* the last call that fails; 0: all that follow fail */
    int64_t slow_us;    /* each call first sleeps so long */
    int64_t offset_ns;  /* added to the time of day */
    int64_t calls;      /* calls of these kinds so far */
    int64_t failed;     /* those that failed */
};

static volatile struct control *control;
static const char *paths;

__attribute__((constructor)) static void attach(void) {
    const char *file = getenv("FREEHOLD_TEST_FAULT_CONTROL");
    paths = getenv("FREEHOLD_TEST_FAULT_PATHS");
    if (file == NULL || paths == NULL) return;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, file, O_RDWR | O_CLOEXEC, 0);
    if (fd < 0) return;
    void *map = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    if (map != MAP_FAILED) control = map;
}

static int is_below(const char *path) {
    for (const char *at = paths; *at != 0;) {
        size_t size = strcspn(at, ":");
        if (size && strncmp(path, at, size) == 0) return 1;
        at += size + (at[size] == ':');
    }
    return 0;
}

/* -1, with errno set, when this call is to fail. */
static int judged(const char *path) {
    if (!is_below(path)) return 0;
    int64_t number = __atomic_add_fetch(&control->calls, 1, __ATOMIC_SEQ_CST);
    if (control->slow_us > 0) {
        struct timespec pause = {control->slow_us / 1000000, control->slow_us % 1000000 * 1000};
        syscall(SYS_nanosleep, &pause, NULL);
    }
    int64_t error = control->error, last = control->last;
    if (error == 0 || number < control->first || (last != 0 && number > last)) return 0;
    __atomic_add_fetch(&control->failed, 1, __ATOMIC_SEQ_CST);
    errno = (int)error;
    return -1;
}

static int judged_fd(int kind, int fd) {
    if (control == NULL || !(control->kinds & kind)) return 0;
    char link[64], path[PATH_MAX];
    char *digits = link + sizeof link - 1;
    *digits = 0;
    do *--digits = (char)('0' + fd % 10); while (fd /= 10);
    digits -= strlen("/proc/self/fd/");
    memcpy(digits, "/proc/self/fd/", strlen("/proc/self/fd/"));
    ssize_t size = readlink(digits, path, sizeof path - 1);
    if (size <= 0) return 0;
    path[size] = 0;
    return judged(path);
}

ssize_t write(int fd, const void *data, size_t size) {
    return judged_fd(WRITE, fd) ? -1 : syscall(SYS_write, fd, data, size);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    return judged_fd(WRITE, fd) ? -1 : syscall(SYS_pwrite64, fd, data, size, at);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    return judged_fd(WRITE, fd) ? -1 : syscall(SYS_pwrite64, fd, data, size, at);
}

int posix_fallocate(int fd, off_t at, off_t size) {
    if (judged_fd(WRITE, fd)) return errno;
    return syscall(SYS_fallocate, fd, 0, at, size) ? errno : 0;
}

int posix_fallocate64(int fd, off64_t at, off64_t size) {
    if (judged_fd(WRITE, fd)) return errno;
    return syscall(SYS_fallocate, fd, 0, at, size) ? errno : 0;
}

int fsync(int fd) { return judged_fd(SYNC, fd) ? -1 : (int)syscall(SYS_fsync, fd); }

int fdatasync(int fd) { return judged_fd(SYNC, fd) ? -1 : (int)syscall(SYS_fdatasync, fd); }

int ftruncate(int fd, off_t size) {
    return judged_fd(TRUNCATE, fd) ? -1 : (int)syscall(SYS_ftruncate, fd, size);
}

int ftruncate64(int fd, off64_t size) {
    return judged_fd(TRUNCATE, fd) ? -1 : (int)syscall(SYS_ftruncate, fd, size);
}

static int opened(int folder, const char *path, int flags, int mode) {
    int writes = (flags & O_ACCMODE) != O_RDONLY;
    if (writes && control != NULL && (control->kinds & OPEN) && judged(path)) return -1;
    return (int)syscall(SYS_openat, folder, path, flags, mode);
}

#define MODE(flags, mode)                                  \
    int mode = 0;                                          \
    if (flags & (O_CREAT | __O_TMPFILE)) {                 \
        va_list more;                                      \
        va_start(more, flags);                             \
        mode = va_arg(more, int);                          \
        va_end(more);                                      \
    }

int open(const char *path, int flags, ...) {
    MODE(flags, mode)
    return opened(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    MODE(flags, mode)
    return opened(AT_FDCWD, path, flags, mode);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = (int)syscall(SYS_clock_gettime, clock, now);
    if (!failed && control != NULL && control->offset_ns && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t sum = now->tv_nsec + control->offset_ns % 1000000000;
        now->tv_sec += control->offset_ns / 1000000000 + (sum >= 1000000000) - (sum < 0);
        now->tv_nsec = sum + (sum < 0 ? 1000000000 : 0) - (sum >= 1000000000 ? 1000000000 : 0);
    }
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    (void)zone;
    struct timespec fine;
    if (clock_gettime(CLOCK_REALTIME, &fine)) return -1;
    now->tv_sec = fine.tv_sec;
    now->tv_usec = fine.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *where) {
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
    if (where != NULL) *where = now.tv_sec;
    return now.tv_sec;
}
