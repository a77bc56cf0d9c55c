/* The C core in a page: `tools/web_core/build` makes edgewright.wasm of this file and of sdk/exporting/c_project.
 *
 * Files are bytes that the page put into memory. The engine is onnxruntime-web, which answers later, and C cannot wait. It
 * looks to the core like ONNX Runtime's C interface, and when it is to run what it has not run yet it fails: the page
 * then runs the engine, gives the outputs, and asks the core again from the beginning, which finds them and comes further.
 */
#include "edgewright.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

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

enum { MOST_GIVEN = 4, MOST_ASKED = 2, SLOTS = 131, GIVEN_VERSION = 5 };

typedef struct {
    int32_t type, rank; /* ONNX's types */
    int32_t shape[3];
    void *data;
} value;

/* What the engine is to run: read by the page, field by field. */
typedef struct {
    int32_t inputs, outputs;
    const char *names[MOST_GIVEN];
    const value *given[MOST_GIVEN];
    const char *asked[MOST_ASKED];
} wanted;

static wanted want;
static int wants;
static value *known; /* what the engine gave to the runs of this request, in their order */
static size_t known_count, next_known;
static const char *const pending = "the engine is asked";

static const char *error_message(void *status) { return status; }
static void released(void *thing) { (void)thing; }
static void *two_made(int level, const char *name, void **out) { return (void)level, (void)name, *out = "", NULL; }
static void *made(void **out) { return *out = "", NULL; }
static void *memory_made(int allocator, int kind, void **out) { return (void)allocator, (void)kind, *out = "", NULL; }
static void *session_made(void *env, const char *path, void *options, void **out) { return (void)env, (void)path, (void)options, *out = "", NULL; }
static void *set(void *options, int number) { return (void)options, (void)number, NULL; }
static void *set_off(void *options) { return (void)options, NULL; }
static void *set_words(void *options, const char *name, const char *to) { return (void)options, (void)name, (void)to, NULL; }

static void *tensor_made(void *memory, void *data, size_t bytes, const int64_t *shape, size_t rank, int type, void **out)
{
    value *v = malloc(sizeof *v);
    (void)memory, (void)bytes;
    if (!v || rank > 3)
        return free(v), (void *)"no memory";
    v->type = type, v->rank = (int32_t)rank, v->data = data;
    for (size_t i = 0; i < rank; i++)
        v->shape[i] = (int32_t)shape[i];
    return *out = v, NULL;
}

static void value_released(void *v)
{
    if ((value *)v < known || (value *)v >= known + known_count)
        free(v);
}

static void *run(void *session, void *options, const char *const *names, void *const *given, size_t count, const char *const *asked, size_t outputs, void **out)
{
    (void)session, (void)options;
    if (next_known + outputs <= known_count) {
        for (size_t i = 0; i < outputs; i++)
            out[i] = &known[next_known++];
        return NULL;
    }
    if (wants || count > MOST_GIVEN || outputs > MOST_ASKED)
        return (void *)"a run that the page cannot make";
    want.inputs = (int32_t)count, want.outputs = (int32_t)outputs;
    for (size_t i = 0; i < count; i++) { /* the core takes its tensors back when it fails */
        value *copy = malloc(sizeof *copy);
        size_t bytes = 8;
        if (!copy)
            return (void *)"no memory";
        *copy = *(const value *)given[i];
        for (int k = 0; k < copy->rank; k++)
            bytes *= (size_t)copy->shape[k];
        if (!(copy->data = malloc(bytes)))
            return free(copy), (void *)"no memory";
        memcpy(copy->data, ((const value *)given[i])->data, copy->type == 7 ? bytes : bytes / 2);
        want.names[i] = names[i], want.given[i] = copy;
    }
    for (size_t i = 0; i < outputs; i++)
        want.asked[i] = asked[i];
    wants = 1;
    return (void *)pending;
}

static void *about(void *v, void **out) { return *out = v, NULL; }
static void *type_of(void *v, int *out) { return *out = ((value *)v)->type, NULL; }
static void *rank_of(void *v, size_t *out) { return *out = (size_t)((value *)v)->rank, NULL; }
static void *data_of(void *v, void **out) { return *out = ((value *)v)->data, NULL; }

static void *shape_of(void *v, int64_t *out, size_t rank)
{
    for (size_t i = 0; i < rank && i < 3; i++)
        out[i] = ((value *)v)->shape[i];
    return NULL;
}

typedef void (*function)(void);

/* By the places that ew_engine.h names. */
static const function engine[SLOTS] = {
    [2] = (function)error_message, [3] = (function)two_made, [7] = (function)session_made, [9] = (function)run, [10] = (function)made,
    [17] = (function)set_off, [22] = (function)set, [24] = (function)set, [25] = (function)set, [49] = (function)tensor_made,
    [51] = (function)data_of, [60] = (function)type_of, [61] = (function)rank_of, [62] = (function)shape_of, [65] = (function)about,
    [69] = (function)memory_made, [92] = (function)released, [93] = (function)released, [94] = (function)released, [95] = (function)released,
    [96] = (function)value_released, [99] = (function)released, [100] = (function)released, [130] = (function)set_words};

static const void *api(uint32_t version) { return version == GIVEN_VERSION ? engine : NULL; }
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

/* core.js reads and writes these byte by byte. */
_Static_assert(sizeof(ew_request) == 40 && sizeof(ew_item) == 32 && sizeof(ew_token) == 20 && sizeof(wanted) == 48, "core.js has another layout");
_Static_assert(offsetof(ew_answer, width) == 12 && offsetof(ew_item, end) == 28 && offsetof(value, data) == 20, "core.js has another layout");

static ew_model *model;
static ew_answer reply;
static ew_encoding encoding;
static char why[EW_WHY];

FOR_THE_PAGE const char *ew_page_why(void) { return why; }
FOR_THE_PAGE const char *ew_page_task(void) { return ew_task(model); }
FOR_THE_PAGE const ew_answer *ew_page_answer(void) { return &reply; }
FOR_THE_PAGE const wanted *ew_page_wanted(void) { return &want; }
FOR_THE_PAGE int ew_page_open(void) { return ew_open(&model, ".", NULL, why); }

static void run_forgotten(void)
{
    for (int i = 0; wants && i < want.inputs; i++) {
        free(want.given[i]->data);
        free((void *)want.given[i]);
    }
    wants = 0;
}

/* An output of the run that was wanted, in their order; `data` is from malloc and belongs to the core. */
FOR_THE_PAGE int ew_page_output(float *data, int rank, int first, int second, int third)
{
    value *more = realloc(known, (known_count + 1) * sizeof *more);
    if (!more)
        return EW_MEMORY;
    known = more;
    known[known_count++] = (value){1, rank, {first, second, third}, data};
    run_forgotten();
    return EW_OK;
}

/* Before a request: what was known of the one before it goes. */
FOR_THE_PAGE void ew_page_begin(void)
{
    run_forgotten();
    while (known_count)
        free(known[--known_count].data);
    free(known);
    known = NULL;
}

/* -1 where the engine is to run first, and this is then called once more with the same. */
FOR_THE_PAGE int ew_page_run(const ew_request *request)
{
    next_known = 0;
    int code = ew_run(model, request, &reply);
    snprintf(why, sizeof why, "%s", reply.why);
    return wants ? -1 : code;
}

/* Tokens, `ew_page_tokens` of them on, as ew_tokenizer.h lays them out; less than 0 is an error's code. */
FOR_THE_PAGE int ew_page_encode(const char *text, size_t bytes, const char *pair, size_t pair_bytes, int limit)
{
    ew_ways ways = {(uint32_t)limit, 0, 0, 0, 0};
    int code = ew_encode(ew_tokenizer_of(model), &encoding, text, bytes, pair, pair_bytes, &ways);
    snprintf(why, sizeof why, "%s", ew_words(code));
    return code ? -code : (int)encoding.count;
}

FOR_THE_PAGE const ew_token *ew_page_tokens(void) { return encoding.tokens; }
