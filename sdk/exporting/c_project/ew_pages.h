/* A part of edgewright.c: weights on huge pages. A decoder reads every weight for every token, and page walks cost. glibc gives
 * each large block a mapping of its own, and matrices below 2 MB then hold no whole huge page: a higher threshold puts them
 * side by side on the heap, and MADV_COLLAPSE (Linux 6.1) makes that heap huge pages at once. Where the kernel refuses,
 * nothing changes. As edgewright.system.huge_pages. */
#if defined(__linux__) && defined(__GLIBC__)
#include <malloc.h>

enum { HUGE_PAGE = 2 << 20, ON_THE_HEAP = 32 << 20, HEAP_PAD = 16 << 20, COLLAPSE = 25 };
/* HUGE_PAGE: of x86-64, and of arm64 with pages of 4 KiB. ON_THE_HEAP: glibc's own largest threshold. HEAP_PAD: eight of them. */

static int pages_begin(void)
{
    return mallopt(M_MMAP_THRESHOLD, ON_THE_HEAP) && mallopt(M_TOP_PAD, HEAP_PAD);
}

/* This process's own anonymous memory, where whole huge pages fit. */
static void pages_end(void)
{
    unsigned long long from, to, inode;
    char line[4352], mode[5], name[2];
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps && fgets(line, sizeof line, maps)) {
        int got = sscanf(line, "%llx-%llx %4s %*s %*s %llu %1s", &from, &to, mode, &inode, name);
        if (got < 4 || strcmp(mode, "rw-p") || inode || (got == 5 && !strstr(line, "[heap]")))
            continue;
        from = (from + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE, to = to / HUGE_PAGE * HUGE_PAGE;
        if (to > from) {
            madvise((void *)(uintptr_t)from, (size_t)(to - from), MADV_HUGEPAGE);
            madvise((void *)(uintptr_t)from, (size_t)(to - from), COLLAPSE);
        }
    }
    if (maps)
        fclose(maps);
}
#else
static int pages_begin(void) { return 0; }
static void pages_end(void) { }
#endif
