/* What a program of the far side is told by its C library: another time, and a disk whose quota is used up.

   LD_PRELOAD of this, with FIRE_CLOCK_S seconds to add to the clock, and FIRE_QUOTA bytes for any file below FIRE_BELOW. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static long number(const char *name) {
    const char *text = getenv(name);
    return text ? atol(text) : 0;
}

int clock_gettime(clockid_t which, struct timespec *at) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int code = real(which, at);
    if (which == CLOCK_REALTIME) at->tv_sec += number("FIRE_CLOCK_S");
    return code;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}

ssize_t write(int file, const void *data, size_t size) {
    static ssize_t (*real)(int, const void *, size_t);
    if (!real) real = dlsym(RTLD_NEXT, "write");
    long most = number("FIRE_QUOTA");
    struct stat facts;
    if (most && !fstat(file, &facts) && S_ISREG(facts.st_mode) && facts.st_size + (long)size > most) {
        char link[64], path[4096];
        snprintf(link, sizeof link, "/proc/self/fd/%d", file);
        ssize_t length = readlink(link, path, sizeof path - 1);
        const char *below = getenv("FIRE_BELOW");
        if (length > 0 && below && !strncmp(path, below, strlen(below))) {
            errno = EDQUOT;
            return -1;
        }
    }
    return real(file, data, size);
}
