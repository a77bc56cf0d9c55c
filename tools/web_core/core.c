/* The C core in a page: `tools/web_core/build` makes edgewright.wasm of this file and of sdk/exporting/c_project.
 *
 * Files are bytes that the page put into memory. The engine is onnxruntime-web, which looks to the core like ONNX Runtime's C
 * interface: engine.js has what runs it. Its memory is another one, in which the cache of a model that writes lies.
 */
#include <stddef.h>

#define FROM_THE_PAGE(name) __attribute__((import_module("page"), import_name(#name)))
FROM_THE_PAGE(cache_new) void *cache_new(size_t bytes);
FROM_THE_PAGE(cache_copy) void cache_copy(void *to, const void *from, size_t bytes);
FROM_THE_PAGE(cache_free) void cache_free(void *data);
#define EW_ENGINE_MEMORY
#include "edgewright.c"
static int litert_open(ew_model *m, const char *path, int threads, char *words) { return (void)m, (void)path, (void)threads, say(words, EW_ENGINE, "a page has no LiteRT"); }

#include <sys/uio.h>

#define FOR_THE_PAGE __attribute__((visibility("default")))

/* Files: a descriptor is one more than a place in the list; nothing is read twice at once */

enum { MOST_FILES = 4, MOST_NAME = 32 };

static struct {
    char name[MOST_NAME];
    const char *bytes;
    size_t size;
} files[MOST_FILES];
static size_t file_count;

/* Bytes from malloc, which belong to the core from now on. */
FOR_THE_PAGE int ew_page_file(const char *name, const char *bytes, size_t size)
{
    if (file_count == MOST_FILES || strlen(name) >= MOST_NAME)
        return EW_ARGUMENT;
    strcpy(files[file_count].name, name);
    files[file_count].bytes = bytes, files[file_count++].size = size;
    return EW_OK;
}

int open(const char *path, int flags, ...)
{
    const char *slash = strrchr(path, '/');
    (void)flags;
    for (size_t i = 0; i < file_count; i++)
        if (!strcmp(files[i].name, slash ? slash + 1 : path))
            return (int)i + 1;
    return -1;
}

int close(int file)
{
    (void)file;
    return 0;
}

int fstat(int file, struct stat *about)
{
    memset(about, 0, sizeof *about);
    about->st_mode = S_IFREG;
    about->st_size = (off_t)files[file - 1].size;
    return 0;
}

void *mmap(void *at, size_t bytes, int protection, int flags, int file, off_t from)
{
    (void)at, (void)bytes, (void)protection, (void)flags, (void)from;
    return (void *)files[file - 1].bytes;
}

int munmap(void *at, size_t bytes)
{
    (void)at, (void)bytes;
    return 0;
}

FILE *fopen(const char *path, const char *mode)
{
    (void)mode;
    return (FILE *)(intptr_t)(open(path, O_RDONLY) > 0 ? open(path, O_RDONLY) : 0);
}

size_t fread(void *out, size_t each, size_t most, FILE *file)
{
    size_t at = (size_t)(intptr_t)file - 1, n = files[at].size < each * most ? files[at].size : each * most;
    memcpy(out, files[at].bytes, n);
    return n / each;
}

int fclose(FILE *file)
{
    (void)file;
    return 0;
}

/* libc's own ask a system: there is none, and nothing is printed. */
void abort(void) { __builtin_trap(); }
ssize_t writev(int file, const struct iovec *parts, int count) { return (void)file, (void)parts, (void)count, -1; }
off_t __lseek(int file, off_t to, int from) { return (void)file, (void)to, (void)from, -1; }

int setenv(const char *name, const char *value, int replace)
{
    (void)name, (void)value, (void)replace;
    return 0;
}

/* The engine */

static char engine_why[EW_WHY];

/* The answer of one of the engine's sessions, by its place, in values that are there or are made: 0, or the page has put into
 * engine_why what went wrong. */
FROM_THE_PAGE(run) int page_run(size_t session, const char *const *names, value *const *given, size_t count, const char *const *asked, value **out, size_t outputs);
FROM_THE_PAGE(seconds) double page_seconds(void);
FROM_THE_PAGE(number) double page_number(const char *text);
FROM_THE_PAGE(piece) int page_piece(const char *piece, size_t bytes);

FOR_THE_PAGE char *ew_page_engine_why(void) { return engine_why; }

double strtod(const char *text, char **end) { return (void)end, page_number(text); } /* the core asks for no end */

int clock_gettime(clockid_t clock, struct timespec *out)
{
    double now = page_seconds();
    (void)clock;
    out->tv_sec = (time_t)now, out->tv_nsec = (long)((now - (double)out->tv_sec) * 1e9);
    return 0;
}

/* An output's value; `data` is from malloc and belongs to it, or where it is `kept` in the engine's memory and goes with it. */
FOR_THE_PAGE value *ew_page_value(float *data, int kept, int rank, int first, int second, int third, int fourth, int fifth)
{
    value *v = value_of(data, rank, first, second, third);
    if (v)
        v->shape[3] = fourth, v->shape[4] = fifth, v->let_go = kept ? cache_free : free;
    return v;
}

static void *two_made(int level, const char *name, void **out) { return (void)level, (void)name, *out = "", NULL; }
static void *made(void **out) { return *out = "", NULL; }
static void *memory_made(int allocator, int kind, void **out) { return (void)allocator, (void)kind, *out = "", NULL; }

/* The page has opened its graphs in the order in which the core asks for them. */
static char sessions[2];

static void *session_made(void *env, const char *path, void *options, void **out)
{
    static size_t count;
    return (void)env, (void)path, (void)options, *out = &sessions[count++ % sizeof sessions], NULL;
}

static void *set(void *options, int number) { return (void)options, (void)number, NULL; }
static void *set_off(void *options) { return (void)options, NULL; }
static void *set_words(void *options, const char *name, const char *to) { return (void)options, (void)name, (void)to, NULL; }

static void *run_by_page(void *session, void *options, const char *const *names, void *const *given, size_t count, const char *const *asked, size_t outputs, void **out)
{
    (void)options;
    return page_run((size_t)((char *)session - sessions), names, (value *const *)given, count, asked, (value **)out, outputs) ? engine_why : NULL;
}

/* By the places that ew_engine.h names. */
static const ort_call engine[SLOTS] = {
    VALUES_IN_TABLE, [ORT_CREATE_ENV] = (ort_call)two_made, [ORT_CREATE_SESSION] = (ort_call)session_made, [ORT_RUN] = (ort_call)run_by_page,
    [ORT_CREATE_SESSION_OPTIONS] = (ort_call)made, [ORT_DISABLE_MEM_PATTERN] = (ort_call)set_off, [ORT_SET_LOG_SEVERITY] = (ort_call)set,
    [ORT_SET_INTRA_THREADS] = (ort_call)set, [ORT_SET_INTER_THREADS] = (ort_call)set, [ORT_CREATE_CPU_MEMORY_INFO] = (ort_call)memory_made,
    [ORT_RELEASE_ENV] = (ort_call)released, [ORT_RELEASE_MEMORY_INFO] = (ort_call)released, [ORT_RELEASE_SESSION] = (ort_call)released,
    [ORT_RELEASE_SESSION_OPTIONS] = (ort_call)released, [ORT_ADD_CONFIG] = (ort_call)set_words};

static const void *api(uint32_t version) { return version == ORT_API_VERSION ? engine : NULL; }
static const char *version(void) { return "onnxruntime-web"; }

static const struct {
    const void *(*api)(uint32_t);
    const char *(*version)(void);
} base = {api, version};
static const void *api_base(void) { return &base; }

void *dlopen(const char *name, int flags) { return (void)name, (void)flags, (void *)&base; }
char *dlerror(void) { return ""; }

void *dlsym(void *library, const char *name)
{
    const void *(*found)(void) = api_base;
    void *symbol;
    (void)library, (void)name;
    memcpy(&symbol, &found, sizeof symbol);
    return symbol;
}

/* What the page calls */

/* core.js and engine.js read and write these byte by byte. */
_Static_assert(sizeof(ew_request) == 40 && sizeof(ew_item) == 32 && sizeof(ew_token) == 20 && sizeof(value) == 36, "core.js has another layout");
_Static_assert(offsetof(ew_answer, width) == 12 && offsetof(ew_item, end) == 28 && offsetof(value, data) == 28, "core.js has another layout");
_Static_assert(offsetof(ew_stats, ids) == 12 && offsetof(ew_stats, first_s) == 16 && offsetof(ew_stats, reason) == 40, "core.js has another layout");

static ew_model *model;
static ew_answer reply;
static ew_encoding encoding;
static ew_stats stats;
static writing written;
static translating translated;
static char why[EW_WHY];

FOR_THE_PAGE const char *ew_page_why(void) { return why; }
FOR_THE_PAGE const char *ew_page_task(void) { return ew_task(model); }
FOR_THE_PAGE int ew_page_chats(void) { return ew_chats(model); }
FOR_THE_PAGE const ew_answer *ew_page_answer(void) { return &reply; }
FOR_THE_PAGE const ew_stats *ew_page_stats(void) { return &stats; }
FOR_THE_PAGE int ew_page_open(void) { return ew_open(&model, ".", NULL, why); }

FOR_THE_PAGE int ew_page_run(const ew_request *request)
{
    int code = ew_run(model, request, &reply);
    snprintf(why, sizeof why, "%s", reply.why);
    return code;
}

static int translates(void) { return model->writer && model->writer->translator; }
static int told(void *user, const char *piece, size_t bytes) { return (void)user, page_piece(piece, bytes); }

/* An answer is begun, goes on step by step, so that the page hears between two what else is wanted, and is ended, whatever
 * came of it. A step gives -1 where there are more. */
FOR_THE_PAGE int ew_page_write(const char *prompt, const char *messages, const char *settings)
{
    memset(&stats, 0, sizeof stats);
    written = (writing){.m = model, .told = told, .stats = &stats};
    translated = (translating){.m = model, .told = told, .stats = &stats};
    if (!translates())
        return writing_begin(&written, prompt, messages, settings);
    return prompt ? translating_begin(&translated, prompt, settings) : say(stats.why, EW_ARGUMENT, "a model that translates takes a text, no messages");
}

FOR_THE_PAGE int ew_page_step(void)
{
    int over, code = translates() ? translating_step(&translated, &over) : step(&written, &over);
    return code || over ? code : -1;
}

FOR_THE_PAGE int ew_page_written(int code, int cancelled)
{
    translated.cancelled = cancelled;
    if (cancelled)
        stats.reason = EW_CANCELLED;
    if (translates())
        translating_end(&translated);
    else
        code = writing_end(&written, code);
    snprintf(why, sizeof why, "%s", stats.why);
    return code;
}

/* Tokens as the model reads them, `ew_page_tokens` of them on, as ew_tokenizer.h lays them out; less than 0 is an error's code. */
FOR_THE_PAGE int ew_page_encode(const char *text, size_t bytes, const char *pair, size_t pair_bytes)
{
    ew_ways ways = {model->max_length, 0, (uint8_t)model->cut_left, 0, 0};
    int code = ew_encode(model->tokenizer, &encoding, text, bytes_read(model, text, bytes), pair, pair_bytes, &ways);
    snprintf(why, sizeof why, "%s", ew_words(code));
    return code ? -code : (int)encoding.count;
}

FOR_THE_PAGE const ew_token *ew_page_tokens(void) { return encoding.tokens; }
