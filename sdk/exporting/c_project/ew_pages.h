/* A part of edgewright.c: pages of memory.
 *
 * Weights on huge pages: a decoder reads every weight for every token, and page walks cost. glibc gives
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

/* The code that ran while an engine began or read a model, let go of: what only that needed is most of its library's pages, and
 * does not come back. The others do at their next call, from the file or what the kernel has of it. */
#ifdef __linux__
#include <link.h>

enum { PAGES_AT_ONCE = 1024, IN_MEMORY = 62, OF_A_FILE = 61 };
/* IN_MEMORY: bits 62 and 63 of an entry of /proc/self/pagemap, swapped or present; OF_A_FILE: as the file has it. */

typedef struct {
    uintptr_t symbol;
    size_t page;
    int map;
} pages_of;

/* Whether all are as the file has them: a debugger's breakpoints, for one, would be lost. */
static int pages_unwritten(const pages_of *p, uintptr_t from, uintptr_t to)
{
    uint64_t entries[PAGES_AT_ONCE];
    for (size_t at = from / p->page, end = to / p->page; at < end; at += PAGES_AT_ONCE) {
        size_t n = end - at < PAGES_AT_ONCE ? end - at : PAGES_AT_ONCE;
        if (pread(p->map, entries, n * sizeof *entries, (off_t)(at * sizeof *entries)) != (ssize_t)(n * sizeof *entries))
            return 0;
        for (size_t i = 0; i < n; i++)
            if (entries[i] >> IN_MEMORY && !(entries[i] >> OF_A_FILE & 1))
                return 0;
    }
    return 1;
}

static int pages_of_library(struct dl_phdr_info *info, size_t size, void *data)
{
    const pages_of *p = data;
    int own = 0;
    (void)size;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *one = &info->dlpi_phdr[i];
        own |= one->p_type == PT_LOAD && p->symbol - (uintptr_t)(info->dlpi_addr + one->p_vaddr) < one->p_memsz;
    }
    for (size_t i = 0; own && i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *one = &info->dlpi_phdr[i];
        uintptr_t from = (uintptr_t)(info->dlpi_addr + one->p_vaddr), to = (from + one->p_memsz) / p->page * p->page;
        from = (from + p->page - 1) / p->page * p->page;
        if (one->p_type == PT_LOAD && !(one->p_flags & PF_W) && from < to && pages_unwritten(p, from, to))
            madvise((void *)from, to - from, MADV_DONTNEED);
    }
    return own;
}

static void pages_leave(const void *symbol)
{
    pages_of p = {(uintptr_t)symbol, (size_t)sysconf(_SC_PAGESIZE), open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)};
    if (p.map < 0)
        return;
    dl_iterate_phdr(pages_of_library, &p);
    close(p.map);
}
#else
static void pages_leave(const void *symbol) { (void)symbol; }
#endif
