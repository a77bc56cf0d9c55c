/* See edgewright.h: the settings of an exported model, its engine, and what each task makes of the engine's outputs. */
#define _POSIX_C_SOURCE 200809L
#include "edgewright.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* ONNX Runtime's C interface is a table of functions whose order never changes: later versions add at its end. These are
 * the places of those used here, all of version 5 (2020), in the order of onnxruntime_c_api.h. */
enum { ORT_GET_ERROR_MESSAGE = 2, ORT_CREATE_ENV = 3, ORT_CREATE_SESSION = 7, ORT_CREATE_SESSION_FROM_ARRAY = 8, ORT_RUN = 9, ORT_CREATE_SESSION_OPTIONS = 10,
       ORT_DISABLE_MEM_PATTERN = 17, ORT_SET_LOG_SEVERITY = 22, ORT_SET_INTRA_THREADS = 24, ORT_SET_INTER_THREADS = 25,
       ORT_CREATE_TENSOR = 49, ORT_TENSOR_DATA = 51, ORT_GET_TYPE = 60, ORT_GET_DIMENSIONS_COUNT = 61, ORT_GET_DIMENSIONS = 62,
       ORT_GET_TYPE_AND_SHAPE = 65, ORT_CREATE_CPU_MEMORY_INFO = 69, ORT_RELEASE_ENV = 92, ORT_RELEASE_STATUS = 93,
       ORT_RELEASE_MEMORY_INFO = 94, ORT_RELEASE_SESSION = 95, ORT_RELEASE_VALUE = 96, ORT_RELEASE_TYPE_AND_SHAPE = 99,
       ORT_RELEASE_SESSION_OPTIONS = 100, ORT_ADD_CONFIG = 130 };
enum { ORT_API_VERSION = 5, ORT_WARNING = 2, ORT_ERROR = 3, ORT_FLOAT = 1, ORT_INT32 = 6, ORT_INT64 = 7 };

typedef struct {
    const void *(*get_api)(uint32_t version);
    const char *(*version)(void);
} ort_base;
typedef void *ort; /* OrtEnv, OrtSession, OrtValue and the rest: only passed along */
typedef void (*ort_call)(void);

enum { MOST_INPUTS = 4, MOST_OUTPUTS = 2, MOST_TOKENS = 256 };
/* MOST_TOKENS: tokens of a run of several texts, padding and all; edgewright.text.encoding says why. */

typedef struct {
    char name[64];
    int type; /* ORT_INT32 or ORT_INT64 */
} input;

struct ew_model {
    ew_tokenizer *tokenizer;
    void *library, *map; /* the map of an .ort file, whose weights the engine uses where they lie */
    size_t map_bytes;
    const ort_call *api;
    ort env, session, memory;
    char *settings; /* model.txt, cut into its words */
    const char *task, *pooling, *problem, *activation, *prompt, *mask, *unknown;
    const char **labels;
    size_t label_count;
    uint32_t max_length;
    int normalize, cut_left, pads_left, exact, segments;
    int32_t pad_id, mask_id, unknown_id;
    input inputs[MOST_INPUTS];
    char outputs[MOST_OUTPUTS][64];
    size_t input_count, output_count;
};

typedef struct ew_part {
    struct ew_part *next;
    char bytes[];
} part;

typedef struct {
    float *data;
    int64_t shape[3];
    size_t rank;
    ort value;
} tensor;

typedef struct {
    ew_model *m;
    const ew_request *q;
    ew_answer *a;
    ew_encoding e;
    ort values[MOST_OUTPUTS];
    tensor outputs[MOST_OUTPUTS];
    void *owned[8]; /* what one call needs, freed at its end */
} call;

static int say(char *why, int code, const char *form, ...)
{
    if (why) {
        va_list words;
        va_start(words, form);
        vsnprintf(why, EW_WHY, form, words);
        va_end(words);
    }
    return code;
}

/* The engine */

#define ORT(m, slot, result, ...) ((result(*)(__VA_ARGS__))(m)->api[slot])

static int engine_failed(ew_model *m, ort status, char *why)
{
    if (!status)
        return EW_OK;
    say(why, EW_ENGINE, "ONNX Runtime: %s", ORT(m, ORT_GET_ERROR_MESSAGE, const char *, ort)(status));
    ORT(m, ORT_RELEASE_STATUS, void, ort)(status);
    return EW_ENGINE;
}

/* Whether this CPU adds pairs of u8 x s8 products in 16 bits, where they can saturate: x86 without VNNI. */
static int products_saturate(void)
{
#if defined(__x86_64__)
    char line[8192];
    FILE *file = fopen("/proc/cpuinfo", "r");
    int found = 0;
    while (file && fgets(line, sizeof line, file))
        if (!strncmp(line, "flags", 5)) {
            found = strstr(line, "avx512_vnni") || strstr(line, "avx_vnni");
            break;
        }
    if (file)
        fclose(file);
    return !found;
#else
    return 0;
#endif
}

static int mapped(ew_model *m, const char *path)
{
    struct stat about;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file >= 0 && !fstat(file, &about) && about.st_size > 0) {
        void *map = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE, file, 0);
        if (map != MAP_FAILED)
            m->map = map, m->map_bytes = (size_t)about.st_size;
    }
    if (file >= 0)
        close(file);
    return m->map != NULL;
}

static ort open_session(ew_model *m, const char *path, ort options)
{
    size_t n = strlen(path);
    if (n < 4 || strcmp(path + n - 4, ".ort") || (!m->map && !mapped(m, path)))
        return ORT(m, ORT_CREATE_SESSION, ort, ort, const char *, ort, ort *)(m->env, path, options, &m->session);
    return ORT(m, ORT_CREATE_SESSION_FROM_ARRAY, ort, ort, const void *, size_t, ort, ort *)(m->env, m->map, m->map_bytes, options, &m->session);
}

static ort configured(ew_model *m, ort options, const char *name)
{
    return ORT(m, ORT_ADD_CONFIG, ort, ort, const char *, const char *)(options, name, "1");
}

static int session(ew_model *m, const char *path, int threads, int exact, char *why)
{
    ort options = NULL;
    int code = engine_failed(m, ORT(m, ORT_CREATE_SESSION_OPTIONS, ort, ort *)(&options), why);
    if (code)
        return code;
    ort all[] = {ORT(m, ORT_SET_INTRA_THREADS, ort, ort, int)(options, threads > 0 ? threads : 1),
                 ORT(m, ORT_SET_INTER_THREADS, ort, ort, int)(options, 1), ORT(m, ORT_SET_LOG_SEVERITY, ort, ort, int)(options, ORT_ERROR),
                 ORT(m, ORT_DISABLE_MEM_PATTERN, ort, ort)(options), configured(m, options, "session.use_ort_model_bytes_directly"),
                 configured(m, options, "session.use_ort_model_bytes_for_initializers"),
                 exact ? configured(m, options, "session.x64quantprecision") : NULL};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        code = engine_failed(m, all[i], code ? NULL : why) ? EW_ENGINE : code;
    if (!code)
        code = engine_failed(m, open_session(m, path, options), why);
    ORT(m, ORT_RELEASE_SESSION_OPTIONS, void, ort)(options);
    return code;
}

static int load(ew_model *m, const char *directory, const char *file, const ew_options *options, char *why)
{
    static const char *const names[] = {"libonnxruntime.so.1", "libonnxruntime.so"};
    const char *engine = options ? options->engine : NULL;
    const ort_base *(*base)(void) = NULL;
    char path[4096];
    setenv("ORT_DISABLE_TELEMETRY", "1", 0); /* it would write into the home directory */
    for (size_t i = 0; i < (engine ? 1 : 2) && !m->library; i++)
        m->library = dlopen(engine ? engine : names[i], RTLD_NOW | RTLD_LOCAL);
    if (!m->library)
        return say(why, EW_ENGINE, "the engine does not load: %s", dlerror());
    void *symbol = dlsym(m->library, "OrtGetApiBase");
    memcpy(&base, &symbol, sizeof base);
    m->api = symbol ? base()->get_api(ORT_API_VERSION) : NULL;
    if (!m->api)
        return say(why, EW_ENGINE, "%s is no ONNX Runtime of version 1.5 or later", engine ? engine : "the library");
    if (snprintf(path, sizeof path, "%s/%s", directory, file) >= (int)sizeof path)
        return say(why, EW_ARGUMENT, "the directory's name is too long");
    int code = engine_failed(m, ORT(m, ORT_CREATE_ENV, ort, int, const char *, ort *)(ORT_ERROR, "edgewright", &m->env), why);
    if (!code)
        code = engine_failed(m, ORT(m, ORT_CREATE_CPU_MEMORY_INFO, ort, int, int, ort *)(0, 0, &m->memory), why);
    if (!code) { /* an engine that refuses the exact form takes the other, as in Python */
        int exact = products_saturate(), threads = options ? options->threads : 1;
        code = session(m, path, threads, exact, why);
        if (code && exact)
            code = session(m, path, threads, 0, why);
    }
    return code;
}

/* Settings */

static char *whole_file(const char *directory, const char *name)
{
    char path[4096], *data = NULL;
    FILE *file = snprintf(path, sizeof path, "%s/%s", directory, name) < (int)sizeof path ? fopen(path, "rb") : NULL;
    if (file && (data = malloc((1 << 20) + 1))) { /* a choice: some words, and a label a line */
        size_t n = fread(data, 1, (1 << 20) + 1, file);
        if (n > 1 << 20 || memchr(data, 0, n)) {
            free(data);
            data = NULL;
        } else {
            data[n] = 0;
        }
    }
    if (file)
        fclose(file);
    return data;
}

/* A value without its escapes: \n and \\. */
static char *plain(char *value)
{
    char *out = value;
    for (char *in = value; *in; in++)
        *out++ = *in != '\\' ? *in : *++in == 'n' ? '\n' : *in ? *in : *--in;
    *out = 0;
    return value;
}

static int take(ew_model *m, const char *key, char *value, const char **file)
{
    const struct {
        const char *key, **to;
    } texts[] = {{"task", &m->task}, {"pooling", &m->pooling}, {"problem", &m->problem}, {"activation", &m->activation},
                 {"prompt", &m->prompt}, {"mask", &m->mask}, {"unknown", &m->unknown}, {"model", file}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (!strcmp(key, texts[i].key))
            return *texts[i].to = plain(value), 1;
    if (!strcmp(key, "label")) {
        const char **labels = realloc(m->labels, (m->label_count + 1) * sizeof *labels);
        if (!labels)
            return 0;
        m->labels = labels;
        labels[m->label_count++] = plain(value);
        return 1;
    }
    if (!strcmp(key, "input") && m->input_count < MOST_INPUTS) {
        input *one = &m->inputs[m->input_count++];
        one->type = !strncmp(value, "int32 ", 6) ? ORT_INT32 : ORT_INT64;
        return snprintf(one->name, sizeof one->name, "%s", value + 6) < (int)sizeof one->name;
    }
    if (!strcmp(key, "output") && m->output_count < MOST_OUTPUTS)
        return snprintf(m->outputs[m->output_count++], sizeof m->outputs[0], "%s", value) < (int)sizeof m->outputs[0];
    char *end;
    errno = 0;
    long number = strtol(value, &end, 10);
    if (errno || *end || end == value)
        return 0;
    const struct {
        const char *key;
        int *to;
    } numbers[] = {{"normalize", &m->normalize}, {"cut_left", &m->cut_left}, {"pads_left", &m->pads_left}, {"pad_id", (int *)&m->pad_id}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (!strcmp(key, numbers[i].key))
            return *numbers[i].to = (int)number, 1;
    if (!strcmp(key, "max_length") && number > 0 && number < 1 << 24)
        return m->max_length = (uint32_t)number, 1;
    return 0;
}

static int settle(ew_model *m, const char *directory, const char **file, char *why)
{
    char *line = m->settings = whole_file(directory, "model.txt"), *next;
    if (!line || strncmp(line, "edgewright 1\n", 13))
        return say(why, line ? EW_ALTERED : EW_FILE, "%s/model.txt: %s", directory, ew_words(line ? EW_ALTERED : EW_FILE));
    for (line += 13; *line; line = next) {
        next = line + strcspn(line, "\n");
        if (*next)
            *next++ = 0;
        char *value = strchr(line, ' ');
        if (!value)
            return say(why, EW_ALTERED, "%s/model.txt: %s is nothing that is known", directory, line);
        *value++ = 0;
        if (!take(m, line, value, file))
            return say(why, EW_ALTERED, "%s/model.txt: %s %s is nothing that is known", directory, line, value);
    }
    if (!*m->task || !**file || !m->input_count || !m->output_count || !m->max_length)
        return say(why, EW_ALTERED, "%s/model.txt: it does not say all that is needed", directory);
    return EW_OK;
}

int ew_open(ew_model **out, const char *directory, const ew_options *options, char *why)
{
    char path[4096];
    const char *file = "";
    ew_model *m = calloc(1, sizeof *m);
    *out = NULL;
    if (!m)
        return say(why, EW_MEMORY, "%s", ew_words(EW_MEMORY));
    m->task = m->pooling = m->problem = m->activation = m->prompt = m->mask = m->unknown = "";
    int code = settle(m, directory, &file, why);
    if (!code) {
        snprintf(path, sizeof path, "%s/tokenizer.bin", directory);
        code = ew_tokenizer_open(&m->tokenizer, path);
        if (code)
            say(why, code, "%s: %s", path, ew_words(code));
    }
    if (!code) {
        m->mask_id = *m->mask ? ew_token_id(m->tokenizer, m->mask, strlen(m->mask)) : -1;
        m->unknown_id = *m->unknown ? ew_token_id(m->tokenizer, m->unknown, strlen(m->unknown)) : -1;
        code = load(m, directory, file, options, why);
    }
    if (code)
        ew_close(m);
    else
        *out = m;
    return code;
}

void ew_close(ew_model *m)
{
    if (!m)
        return;
    if (m->session)
        ORT(m, ORT_RELEASE_SESSION, void, ort)(m->session);
    if (m->memory)
        ORT(m, ORT_RELEASE_MEMORY_INFO, void, ort)(m->memory);
    if (m->env)
        ORT(m, ORT_RELEASE_ENV, void, ort)(m->env);
    if (m->map)
        munmap(m->map, m->map_bytes);
    ew_tokenizer_close(m->tokenizer); /* the library stays: it has threads and ends of its own */
    free(m->settings);
    free(m->labels);
    free(m);
}

const char *ew_task(const ew_model *m) { return m->task; }
const ew_tokenizer *ew_tokenizer_of(const ew_model *m) { return m->tokenizer; }

/* Answers */

static void forget(ew_answer *a)
{
    while (a->parts) {
        part *next = a->parts->next;
        free(a->parts);
        a->parts = next;
    }
    free(a->items);
    free(a->vector);
    a->items = NULL, a->vector = NULL;
    a->count = a->width = 0;
}

void ew_answer_free(ew_answer *a)
{
    forget(a);
    a->why[0] = 0;
}

static int out_of_memory(call *c) { return say(c->a->why, EW_MEMORY, "%s", ew_words(EW_MEMORY)); }

/* Bytes that belong to the answer, with a NUL behind them; NULL where there is no memory. */
static char *keep(call *c, const char *bytes, size_t n)
{
    part *p = malloc(sizeof *p + n + 1);
    if (!p)
        return NULL;
    if (bytes)
        memcpy(p->bytes, bytes, n);
    p->bytes[n] = 0;
    p->next = c->a->parts;
    c->a->parts = p;
    return p->bytes;
}

static ew_item *add(call *c)
{
    ew_item *items = realloc(c->a->items, (c->a->count + 1) * sizeof *items);
    if (!items)
        return NULL;
    c->a->items = items;
    memset(&items[c->a->count], 0, sizeof *items);
    items[c->a->count].label = items[c->a->count].text = "";
    return &items[c->a->count++];
}

/* Room that is freed at the end of the call; each place is used once at a time. */
static void *need(call *c, int place, size_t count, size_t each)
{
    free(c->owned[place]);
    return c->owned[place] = malloc(count * each + 1);
}

/* Running */

static void let_go(call *c)
{
    for (size_t i = 0; i < MOST_OUTPUTS; i++)
        if (c->values[i])
            ORT(c->m, ORT_RELEASE_VALUE, void, ort)(c->values[i]);
    memset(c->values, 0, sizeof c->values);
}

static int shape_of(call *c, size_t i)
{
    ew_model *m = c->m;
    tensor *t = &c->outputs[i];
    ort about = NULL;
    int type = 0, code = engine_failed(m, ORT(m, ORT_GET_TYPE_AND_SHAPE, ort, ort, ort *)(c->values[i], &about), c->a->why);
    if (code)
        return code;
    code = engine_failed(m, ORT(m, ORT_GET_TYPE, ort, ort, int *)(about, &type), c->a->why);
    if (!code)
        code = engine_failed(m, ORT(m, ORT_GET_DIMENSIONS_COUNT, ort, ort, size_t *)(about, &t->rank), c->a->why);
    if (!code && (type != ORT_FLOAT || t->rank > 3))
        code = say(c->a->why, EW_ENGINE, "output %s is no float32 of 3 dimensions", m->outputs[i]);
    t->shape[0] = t->shape[1] = t->shape[2] = 1;
    if (!code)
        code = engine_failed(m, ORT(m, ORT_GET_DIMENSIONS, ort, ort, int64_t *, size_t)(about, t->shape, t->rank), c->a->why);
    ORT(m, ORT_RELEASE_TYPE_AND_SHAPE, void, ort)(about);
    return code ? code : engine_failed(m, ORT(m, ORT_TENSOR_DATA, ort, ort, void **)(c->values[i], (void **)&t->data), c->a->why);
}

/* Rows of tokens, each the longest of them long, through the engine. `lengths` says how long each really is. */
static int run_rows(call *c, const ew_token *const *rows, const size_t *lengths, size_t count)
{
    ew_model *m = c->m;
    size_t longest = 0;
    ort given[MOST_INPUTS] = {NULL};
    const char *names[MOST_INPUTS], *wanted[MOST_OUTPUTS];
    let_go(c);
    for (size_t i = 0; i < count; i++)
        longest = lengths[i] > longest ? lengths[i] : longest;
    if (!longest)
        return say(c->a->why, EW_ARGUMENT, "the text has no tokens");
    int64_t *data = need(c, 0, m->input_count * count * longest, sizeof *data), shape[2] = {(int64_t)count, (int64_t)longest};
    int code = data ? EW_OK : out_of_memory(c);
    for (size_t k = 0; !code && k < m->input_count; k++) {
        int wide = m->inputs[k].type == ORT_INT64;
        int kind = !strcmp(m->inputs[k].name, "input_ids") ? 0 : !strcmp(m->inputs[k].name, "attention_mask") ? 1 : 2;
        int64_t *place = data + k * count * longest;
        for (size_t i = 0; i < count; i++)
            for (size_t j = 0; j < longest; j++) {
                size_t at = m->pads_left ? j - (longest - lengths[i]) : j;
                int real = at < lengths[i];
                int64_t value = kind == 0 ? (real ? rows[i][at].id : m->pad_id) : kind == 1 ? real : real ? rows[i][at].type : 0;
                if (wide)
                    place[i * longest + j] = value;
                else
                    ((int32_t *)place)[i * longest + j] = (int32_t)value;
            }
        names[k] = m->inputs[k].name;
        code = engine_failed(m, ORT(m, ORT_CREATE_TENSOR, ort, ort, void *, size_t, const int64_t *, size_t, int, ort *)(
            m->memory, place, count * longest * (wide ? 8 : 4), shape, 2, m->inputs[k].type, &given[k]), c->a->why);
    }
    for (size_t k = 0; k < m->output_count; k++)
        wanted[k] = m->outputs[k];
    if (!code)
        code = engine_failed(m, ORT(m, ORT_RUN, ort, ort, ort, const char *const *, const ort *, size_t, const char *const *, size_t, ort *)(
            m->session, NULL, names, given, m->input_count, wanted, m->output_count, c->values), c->a->why);
    for (size_t k = 0; k < m->input_count; k++)
        if (given[k])
            ORT(m, ORT_RELEASE_VALUE, void, ort)(given[k]);
    for (size_t k = 0; !code && k < m->output_count; k++)
        code = shape_of(c, k);
    return code;
}

static int encoded(call *c, const char *text, const char *pair, int cut_first)
{
    ew_ways ways = {c->m->max_length, (uint8_t)cut_first, (uint8_t)(c->m->cut_left && !cut_first), 0, 0};
    int code = ew_encode(c->m->tokenizer, &c->e, text, strlen(text), pair, pair ? strlen(pair) : 0, &ways);
    return code ? say(c->a->why, code, "%s", ew_words(code)) : EW_OK;
}

static int run_one(call *c)
{
    const ew_token *row = c->e.tokens;
    return run_rows(c, &row, &c->e.count, 1);
}

static int unfit(call *c, const char *what) { return say(c->a->why, EW_ARGUMENT, "%s wants %s", c->m->task, what); }

/* The shape that a task counts on: rows, or rows of tokens, of so many numbers. */
static int check(call *c, size_t i, size_t rank, int64_t rows, int64_t last)
{
    tensor *t = &c->outputs[i];
    if (t->rank != rank || t->shape[0] != rows || (last && t->shape[rank - 1] != last))
        return say(c->a->why, EW_ENGINE, "output %s has the shape (%lld, %lld, %lld)", c->m->outputs[i], (long long)t->shape[0],
                   (long long)t->shape[1], (long long)t->shape[2]);
    return EW_OK;
}

/* Numbers */

static void softmax(const float *in, double *out, size_t n)
{
    double most = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++)
        most = in[i] > most ? in[i] : most;
    for (size_t i = 0; i < n; i++)
        sum += out[i] = exp((double)in[i] - most);
    for (size_t i = 0; i < n; i++)
        out[i] /= sum;
}

static double sigmoid(double x) { return x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x)); }

static size_t largest(const double *values, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        best = values[i] > values[best] ? i : best;
    return best;
}

typedef struct {
    double value;
    size_t at;
} ranked;

static int falling(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    return x->value > y->value ? -1 : x->value < y->value ? 1 : x->at < y->at ? -1 : x->at > y->at;
}

static size_t most_of(const call *c, size_t usual, size_t all)
{
    size_t most = c->q->top_k == 0 ? usual : c->q->top_k < 0 ? all : (size_t)c->q->top_k;
    return most < all ? most : all;
}

/* Characters */

static int is_space(uint32_t c) /* as Python's str.strip has it */
{
    return (c >= 9 && c <= 13) || (c >= 28 && c <= 32) || c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A)
           || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

/* A text as characters, each with the byte where it begins; one more at the end. */
typedef struct {
    uint32_t *at, *code;
    uint32_t count;
    const char *bytes;
} characters;

static int spelled(call *c, int place, const char *text, characters *out)
{
    size_t n = strlen(text), i = 0;
    out->at = need(c, place, 2 * (n + 1), sizeof *out->at);
    if (!out->at)
        return out_of_memory(c);
    out->code = out->at + n + 1;
    out->bytes = text;
    for (out->count = 0; i < n; out->count++) {
        out->at[out->count] = (uint32_t)i;
        out->code[out->count] = ew_next_char(text, n, &i);
    }
    out->at[out->count] = (uint32_t)n;
    return EW_OK;
}

static void strip(const characters *text, uint32_t *start, uint32_t *end)
{
    uint32_t begin = *start;
    while (begin < *end && is_space(text->code[begin]))
        begin++;
    if (begin == *end) {
        *end = *start;
        return;
    }
    *start = begin;
    while (*end > begin && is_space(text->code[*end - 1]))
        --*end;
}

static char *stretch(call *c, const characters *text, uint32_t start, uint32_t end)
{
    return keep(c, text->bytes + text->at[start], text->at[end] - text->at[start]);
}

/* Text classification */

static int classify(call *c)
{
    ew_model *m = c->m;
    size_t n = m->label_count, prompt = strlen(m->prompt);
    char *text = need(c, 1, prompt + strlen(c->q->text), 1);
    if (!text)
        return out_of_memory(c);
    memcpy(text, m->prompt, prompt);
    strcpy(text + prompt, c->q->text);
    int code = encoded(c, text, c->q->pair, 0);
    if (code || (code = run_one(c)) || (code = check(c, 0, 2, 1, (int64_t)n)))
        return code;
    const float *logits = c->outputs[0].data;
    double *scores = need(c, 2, n, sizeof *scores);
    ranked *order = need(c, 3, n, sizeof *order);
    if (!scores || !order)
        return out_of_memory(c);
    int several = !strcmp(m->problem, "multi_label"), value = !strcmp(m->problem, "regression");
    if (!several && !value)
        softmax(logits, scores, n);
    for (size_t i = 0; i < n; i++) {
        if (several || value)
            scores[i] = several || !strcmp(m->activation, "sigmoid") ? sigmoid(logits[i]) : logits[i];
        order[i] = (ranked){logits[i], i};
    }
    qsort(order, n, sizeof *order, falling);
    for (size_t i = 0; i < most_of(c, 1, n); i++) {
        ew_item *item = add(c);
        if (!item)
            return out_of_memory(c);
        item->label = m->labels[order[i].at];
        item->index = (uint32_t)order[i].at;
        item->score = scores[order[i].at];
    }
    return EW_OK;
}

/* Feature extraction */

static int embed(call *c)
{
    ew_model *m = c->m;
    size_t prompt = strlen(m->prompt), width, n;
    char *text = need(c, 1, prompt + strlen(c->q->text), 1);
    if (!text)
        return out_of_memory(c);
    memcpy(text, m->prompt, prompt);
    strcpy(text + prompt, c->q->text);
    int whole = !strcmp(m->pooling, "model"), code = encoded(c, text, c->q->pair, 0);
    if (code || (code = run_one(c)) || (code = check(c, 0, whole ? 2 : 3, 1, 0)))
        return code;
    const tensor *t = &c->outputs[0];
    width = (size_t)(whole ? t->shape[1] : t->shape[2]), n = whole ? 1 : (size_t)t->shape[1];
    float *vector = c->a->vector = malloc(width * sizeof *vector + 1);
    if (!vector)
        return out_of_memory(c);
    c->a->width = width;
    double length = 0;
    for (size_t k = 0; k < width; k++) {
        double sum = 0, most = -INFINITY;
        for (size_t i = 0; i < n; i++) {
            sum += t->data[i * width + k];
            most = t->data[i * width + k] > most ? t->data[i * width + k] : most;
        }
        vector[k] = whole || !strcmp(m->pooling, "cls") ? t->data[k] : !strcmp(m->pooling, "max") ? (float)most : (float)(sum / (double)n);
        length += (double)vector[k] * vector[k];
    }
    length = sqrt(length) > 1e-12 ? sqrt(length) : 1e-12;
    for (size_t k = 0; k < width && m->normalize && !whole; k++)
        vector[k] = (float)(vector[k] / length);
    return EW_OK;
}

/* Token classification */

static int joined(call *c, const char *const *pieces, const size_t *bytes, size_t count, char **out)
{
    size_t n = ew_joined(c->m->tokenizer, pieces, bytes, count, NULL, 0);
    *out = keep(c, NULL, n);
    if (!*out)
        return out_of_memory(c);
    ew_joined(c->m->tokenizer, pieces, bytes, count, *out, n);
    return EW_OK;
}

/* A tag's prefix and name; the rarer prefixes count where no label is without one. */
static const char *name_of(const char *tag, int rare, char *place)
{
    int known = tag[0] && tag[1] == '-' && strchr(rare ? "BIELSU" : "BI", tag[0]);
    *place = known ? tag[0] : 0;
    return known ? tag + 2 : tag;
}

static int all_prefixed(const ew_model *m)
{
    for (size_t i = 0; i < m->label_count; i++)
        if (strcmp(m->labels[i], "O") && (!m->labels[i][0] || m->labels[i][1] != '-' || !strchr("BIELSU", m->labels[i][0])))
            return 0;
    return 1;
}

/* An entity of tokens `first` to `last`, with the tokens' own text joined and the text's stretch. */
static int entity(call *c, const characters *text, size_t first, size_t last, const char *label, double score)
{
    size_t n = last - first + 1, *bytes = need(c, 5, n, sizeof *bytes);
    const char **pieces = need(c, 6, n, sizeof *pieces);
    uint32_t start = c->e.tokens[first].start, end = c->e.tokens[last].end;
    char *word;
    if (!bytes || !pieces)
        return out_of_memory(c);
    for (size_t i = 0; i < n; i++)
        pieces[i] = ew_token_text(c->m->tokenizer, c->e.tokens[first + i].id, &bytes[i]);
    strip(text, &start, &end);
    if (start >= end)
        return EW_OK;
    int code = joined(c, pieces, bytes, n, &word);
    ew_item *item = code ? NULL : add(c);
    characters inside;
    if (code || !item || (code = spelled(c, 7, word, &inside)))
        return code ? code : out_of_memory(c);
    uint32_t from = 0, to = inside.count;
    strip(&inside, &from, &to);
    word[inside.at[to]] = 0;
    *item = (ew_item){label, word + inside.at[from], score, 0, 0, start, end};
    return EW_OK;
}

static int own_entities(call *c, const characters *text, const double *chances)
{
    ew_model *m = c->m;
    size_t n = c->e.count, labels = m->label_count, words = 0;
    struct {
        size_t first, last, best;
    } *word = need(c, 4, n, sizeof *word);
    int marks = ew_marks_pieces(m->tokenizer), rare = all_prefixed(m), closed = 1, code = EW_OK;
    if (!word)
        return out_of_memory(c);
    for (size_t i = 0; i < n; i++) {
        const ew_token *t = &c->e.tokens[i];
        if (t->side < 0)
            continue;
        if (marks && words && i && c->e.tokens[i - 1].word == t->word && c->e.tokens[i - 1].side >= 0) {
            word[words - 1].last = i;
            continue;
        }
        word[words].first = word[words].last = i;
        word[words++].best = largest(chances + i * labels, labels);
    }
    size_t begin = 0, open = 0;
    const char *name = "";
    double sum = 0;
    for (size_t i = 0; i <= words && !code; i++) {
        char place = 0;
        const char *next = i < words ? name_of(m->labels[word[i].best], rare, &place) : "O";
        int out = !strcmp(next, "O"), starts = closed || (place && strchr("BSU", place)) || strcmp(name, next);
        if (open && (out || starts)) {
            code = entity(c, text, word[begin].first, word[i - 1].last, name, sum / (double)open);
            open = 0;
        }
        closed = out || (place && strchr("ELSU", place));
        if (out)
            continue;
        if (!open)
            begin = i, name = next, sum = 0;
        sum += chances[word[i].first * labels + word[i].best];
        open++;
    }
    return code;
}

typedef struct {
    const char *word, *tag;
    size_t bytes;
    double score;
    uint32_t start, end;
} tagged;

static const char *plain_name(const char *tag) { return !strncmp(tag, "B-", 2) || !strncmp(tag, "I-", 2) ? tag + 2 : tag; }

/* By the strategies of transformers' pipeline, see edgewright.tasks._aggregation. */
static int aggregated(call *c, const characters *text, const double *chances)
{
    ew_model *m = c->m;
    size_t n = c->e.count, labels = m->label_count, count = 0;
    tagged *all = need(c, 4, n, sizeof *all);
    const char **pieces = need(c, 5, n, sizeof *pieces);
    size_t *bytes = need(c, 6, n, sizeof *bytes);
    double *row = need(c, 3, labels, sizeof *row);
    if (!all || !pieces || !bytes || !row)
        return out_of_memory(c);
    for (size_t i = 0; i < n;) {
        size_t j = i, parts = 0, chosen = i;
        uint32_t start = c->e.tokens[i].start, end = 0;
        if (c->e.tokens[i].side < 0) {
            i++;
            continue;
        }
        double most = -1;
        for (size_t k = 0; k < labels; k++)
            row[k] = 0;
        for (; j < n; j++) {
            const ew_token *t = &c->e.tokens[j];
            if (t->side < 0)
                break;
            int unknown = t->id == m->unknown_id, inside;
            pieces[parts] = unknown ? text->bytes + text->at[t->start] : ew_token_text(m->tokenizer, t->id, &bytes[parts]);
            if (unknown)
                bytes[parts] = text->at[t->end] - text->at[t->start];
            uint32_t letters = 0;
            for (size_t k = 0; k < bytes[parts]; k++)
                letters += (pieces[parts][k] & 0xC0) != 0x80;
            if (ew_marks_pieces(m->tokenizer))
                inside = letters != t->end - t->start;
            else
                inside = t->start > 0 && text->code[t->start - 1] != ' ' && (t->start >= text->count || text->code[t->start] != ' ');
            if (unknown)
                inside = 0;
            if (j > i && (!inside || c->q->aggregation == EW_NONE || c->q->aggregation == EW_SIMPLE))
                break;
            const double *own = chances + j * labels;
            for (size_t k = 0; k < labels; k++)
                row[k] += own[k];
            if (own[largest(own, labels)] > most)
                most = own[largest(own, labels)], chosen = j;
            end = t->end;
            parts++;
        }
        const double *by = c->q->aggregation == EW_MAX ? chances + chosen * labels : chances + i * labels;
        for (size_t k = 0; k < labels; k++)
            row[k] /= (double)parts;
        if (c->q->aggregation == EW_AVERAGE)
            by = row;
        size_t best = largest(by, labels);
        char *word = NULL;
        if (c->q->aggregation == EW_NONE || c->q->aggregation == EW_SIMPLE) {
            if (!(word = keep(c, pieces[0], bytes[0])))
                return out_of_memory(c);
        } else if (joined(c, pieces, bytes, parts, &word)) {
            return EW_MEMORY;
        }
        all[count++] = (tagged){word, m->labels[best], strlen(word), by[best], start, end};
        if (c->q->aggregation == EW_NONE && strcmp(m->labels[best], "O")) {
            ew_item *item = add(c);
            if (!item)
                return out_of_memory(c);
            *item = (ew_item){m->labels[best], word, by[best], 0, (uint32_t)i, start, end};
        }
        i = j;
    }
    for (size_t i = 0, j; i < count && c->q->aggregation != EW_NONE; i = j) {
        double sum = 0;
        for (j = i; j < count && (j == i || (strncmp(all[j].tag, "B-", 2) && !strcmp(plain_name(all[j].tag), plain_name(all[j - 1].tag)))); j++) {
            pieces[j - i] = all[j].word, bytes[j - i] = all[j].bytes;
            sum += all[j].score;
        }
        const char *dash = strchr(all[i].tag, '-'), *group = dash ? dash + 1 : all[i].tag;
        char *word;
        if (!strcmp(group, "O"))
            continue;
        int code = joined(c, pieces, bytes, j - i, &word);
        ew_item *item = code ? NULL : add(c);
        if (!item)
            return code ? code : out_of_memory(c);
        *item = (ew_item){group, word, sum / (double)(j - i), 0, 0, all[i].start, all[j - 1].end};
    }
    return EW_OK;
}

static int tag_tokens(call *c)
{
    size_t labels = c->m->label_count;
    characters text;
    int code = encoded(c, c->q->text, NULL, 0);
    if (code || (code = run_one(c)) || (code = check(c, 0, 3, 1, (int64_t)labels)) || (code = spelled(c, 1, c->q->text, &text)))
        return code;
    if ((size_t)c->outputs[0].shape[1] != c->e.count)
        return say(c->a->why, EW_ENGINE, "the engine gave %lld tokens of %zu", (long long)c->outputs[0].shape[1], c->e.count);
    double *chances = need(c, 2, c->e.count * labels, sizeof *chances);
    if (!chances)
        return out_of_memory(c);
    for (size_t i = 0; i < c->e.count; i++)
        softmax(c->outputs[0].data + i * labels, chances + i * labels, labels);
    return c->q->aggregation == EW_OWN ? own_entities(c, &text, chances) : aggregated(c, &text, chances);
}

/* Fill mask */

static int decoded(call *c, const int32_t *ids, size_t n, int skip, char **out)
{
    size_t bytes = ew_decode(c->m->tokenizer, ids, n, skip, NULL, 0);
    *out = keep(c, NULL, bytes);
    if (!*out)
        return out_of_memory(c);
    ew_decode(c->m->tokenizer, ids, n, skip, *out, bytes);
    return EW_OK;
}

static int fill(call *c)
{
    ew_model *m = c->m;
    int code = encoded(c, c->q->text, NULL, 0);
    size_t masks = 0, n = c->e.count, number = 0;
    for (size_t i = 0; !code && i < n; i++)
        masks += c->e.tokens[i].id == m->mask_id;
    if (!code && (m->mask_id < 0 || !masks))
        return say(c->a->why, EW_ARGUMENT, "the text has no %s within %u tokens", *m->mask ? m->mask : "mask", m->max_length);
    if (code || (code = run_one(c)) || (code = check(c, 0, 3, 1, 0)))
        return code;
    size_t words = (size_t)c->outputs[0].shape[2];
    int32_t *ids = need(c, 1, n, sizeof *ids);
    double *chances = need(c, 2, words, sizeof *chances);
    ranked *order = need(c, 3, words, sizeof *order);
    if (!ids || !chances || !order)
        return out_of_memory(c);
    for (size_t i = 0; i < n; i++)
        ids[i] = c->e.tokens[i].id;
    for (size_t i = 0; i < n; i++) {
        if (c->e.tokens[i].id != m->mask_id)
            continue;
        const float *logits = c->outputs[0].data + i * words;
        softmax(logits, chances, words);
        for (size_t k = 0; k < words; k++)
            order[k] = (ranked){logits[k], k};
        qsort(order, words, sizeof *order, falling);
        for (size_t k = 0; k < most_of(c, 5, words); k++) {
            int32_t token = (int32_t)order[k].at;
            char *word, *whole;
            ids[i] = token;
            if ((code = decoded(c, ids, n, masks == 1, &whole)) || (code = decoded(c, &token, 1, 0, &word)))
                return code;
            ew_item *item = add(c);
            if (!item)
                return out_of_memory(c);
            *item = (ew_item){word, whole, chances[token], token, (uint32_t)number, 0, 0};
        }
        ids[i] = m->mask_id;
        number++;
    }
    return EW_OK;
}

/* Question answering */

typedef struct {
    float rate;
    uint32_t start, end;
    double score;
    size_t order;
} passage;

static int by_rate(const void *a, const void *b)
{
    const passage *x = a, *y = b;
    return x->rate > y->rate ? -1 : x->rate < y->rate ? 1 : x->order < y->order ? -1 : x->order > y->order;
}

/* Probabilities over the context's tokens and the special one in front; nothing for the others. */
static int chances_of(call *c, const float *logits, double *out)
{
    size_t n = c->e.count, kept = 0;
    float *some = need(c, 4, n, sizeof *some);
    if (!some)
        return out_of_memory(c);
    for (size_t i = 0; i < n; i++)
        if (c->e.tokens[i].side == 1 || (c->e.tokens[i].side < 0 && !i))
            some[kept++] = logits[i];
    double *all = need(c, 5, kept, sizeof *all);
    if (!all)
        return out_of_memory(c);
    softmax(some, all, kept);
    for (size_t i = n; i-- > 0;)
        out[i] = c->e.tokens[i].side == 1 || (c->e.tokens[i].side < 0 && !i) ? all[--kept] : 0;
    return EW_OK;
}

static int add_passage(call *c, const characters *context, const passage *p)
{
    ew_item *item = add(c);
    if (!item || !(item->text = stretch(c, context, p->start, p->end)))
        return out_of_memory(c);
    item->score = p->score, item->start = p->start, item->end = p->end;
    return EW_OK;
}

static int answer(call *c)
{
    ew_model *m = c->m;
    if (!c->q->pair)
        return unfit(c, "a question and its context");
    int code = ew_windows_begin(m->tokenizer, &c->e, c->q->text, strlen(c->q->text), c->q->pair, strlen(c->q->pair), m->max_length);
    if (code)
        return say(c->a->why, code, "%s", ew_words(code));
    uint32_t stride;
    size_t windows = ew_windows_count(m->tokenizer, &c->e, m->max_length, &stride), found = 0, room = 0, longest = c->q->max_answer_len > 0 ? (size_t)c->q->max_answer_len : 30;
    passage *all = NULL, nothing = {INFINITY, 0, 0, 0, 0};
    characters context;
    if ((code = spelled(c, 1, c->q->pair, &context)))
        return code;
    for (size_t w = 0; w < windows; w++) {
        if ((code = ew_window(m->tokenizer, &c->e, w, m->max_length, stride)) || (code = run_one(c)) || (code = check(c, 0, 2, 1, 0)) || (code = check(c, 1, 2, 1, 0)))
            return code;
        size_t n = c->e.count;
        const float *starts = c->outputs[0].data, *ends = c->outputs[1].data;
        double *begins = need(c, 2, 2 * n, sizeof *begins), *stops = begins + n;
        if (!begins || (code = chances_of(c, starts, begins)) || (code = chances_of(c, ends, stops)))
            return code ? code : out_of_memory(c);
        int special = c->e.tokens[0].side < 0;
        float rate = special ? starts[0] + ends[0] : -INFINITY;
        if (rate < nothing.rate)
            nothing = (passage){rate, 0, 0, special ? begins[0] * stops[0] : 0, 0};
        for (size_t i = 0; i < n; i++)
            for (size_t j = i, k = 0; c->e.tokens[i].side == 1 && j < n && k < longest; j++, k++) {
                if (c->e.tokens[j].side != 1)
                    break;
                if (found == room) {
                    passage *more = realloc(c->owned[3], (room = 2 * room + 1024) * sizeof *more);
                    if (!more)
                        return out_of_memory(c);
                    c->owned[3] = all = more;
                }
                all[found] = (passage){starts[i] + ends[j], c->e.tokens[i].start, c->e.tokens[j].end, begins[i] * stops[j], found};
                strip(&context, &all[found].start, &all[found].end);
                found++;
            }
    }
    if (found)
        qsort(all, found, sizeof *all, by_rate);
    passage none = {-INFINITY, 0, 0, 0, 0};
    size_t wanted = c->q->top_k == 0 ? 1 : c->q->top_k < 0 ? (size_t)-1 : (size_t)c->q->top_k;
    int first = c->q->no_answer && nothing.rate - (found ? all[0].rate : none.rate) > 0;
    if (first && (code = add_passage(c, &context, &nothing)))
        return code;
    size_t given = 0;
    for (size_t i = 0; i < found && given < wanted && c->a->count < wanted; i++) {
        int known = 0;
        for (size_t k = (size_t)first; k < c->a->count; k++)
            known |= c->a->items[k].start == all[i].start && c->a->items[k].end == all[i].end;
        if (!known && (code = add_passage(c, &context, &all[i])))
            return code;
        given += !known;
    }
    if (!found && c->a->count < wanted && (code = add_passage(c, &context, &none)))
        return code;
    return c->q->no_answer && !first && c->a->count < wanted ? add_passage(c, &context, &nothing) : EW_OK;
}

/* Text ranking */

static int rank_texts(call *c)
{
    size_t n = c->q->choice_count, total = 0, width = 0;
    if (!n)
        return unfit(c, "a query and texts");
    size_t *lengths = need(c, 1, 3 * n, sizeof *lengths), *begins = lengths + n, *orders = begins + n;
    float *logits = need(c, 2, 2 * n, sizeof *logits);
    ranked *order = need(c, 3, n, sizeof *order);
    if (!lengths || !logits || !order)
        return out_of_memory(c);
    for (size_t i = 0; i < n; i++) {
        int code = encoded(c, c->q->text, c->q->choices[i], 0);
        if (code)
            return code;
        ew_token *all = realloc(c->owned[4], (total + c->e.count + 1) * sizeof *all);
        if (!all)
            return out_of_memory(c);
        c->owned[4] = all;
        memcpy(all + total, c->e.tokens, c->e.count * sizeof *all);
        begins[i] = total, lengths[i] = c->e.count;
        total += c->e.count;
        order[i] = (ranked){(double)c->e.count, i};
    }
    qsort(order, n, sizeof *order, falling); /* texts of like length run together, the longest first */
    for (size_t i = 0; i < n; i++)
        orders[i] = order[i].at;
    size_t longest = lengths[orders[0]];
    int whole = n * longest <= MOST_TOKENS;
    for (size_t i = 0, j; i < n; i = j) {
        const ew_token **rows = need(c, 5, n, sizeof *rows);
        size_t *sizes = need(c, 6, n, sizeof *sizes);
        if (!rows || !sizes)
            return out_of_memory(c);
        for (j = i; j < n && (whole || j == i || (j - i + 1) * lengths[orders[i]] <= MOST_TOKENS); j++) {
            size_t at = whole ? j : orders[j];
            rows[j - i] = (ew_token *)c->owned[4] + begins[at];
            sizes[j - i] = lengths[at];
        }
        int code = run_rows(c, rows, sizes, j - i);
        if (code || (code = check(c, 0, 2, (int64_t)(j - i), 0)))
            return code;
        width = (size_t)c->outputs[0].shape[1];
        if (width != 1 && width != 2)
            return say(c->a->why, EW_ENGINE, "a model that ranks has one output or two, this one has %zu", width);
        for (size_t k = i; k < j; k++)
            memcpy(logits + 2 * (whole ? k : orders[k]), c->outputs[0].data + (k - i) * width, width * sizeof *logits);
    }
    for (size_t i = 0; i < n; i++)
        order[i] = (ranked){width == 1 ? logits[2 * i] : logits[2 * i + 1] - logits[2 * i], i};
    qsort(order, n, sizeof *order, falling);
    for (size_t i = 0; i < most_of(c, n, n); i++) {
        size_t at = order[i].at;
        float two[2] = {width == 1 ? 0 : logits[2 * at], width == 1 ? logits[2 * at] : logits[2 * at + 1]};
        double shares[2];
        ew_item *item = add(c);
        softmax(two, shares, 2);
        if (!item || !(item->text = keep(c, c->q->choices[at], strlen(c->q->choices[at]))))
            return out_of_memory(c);
        item->score = shares[1], item->index = (uint32_t)at;
    }
    return EW_OK;
}

/* Zero-shot classification */

static int entailment(const ew_model *m)
{
    for (size_t i = 0; i < m->label_count; i++) {
        size_t k = 0;
        while (k < 6 && (m->labels[i][k] | 32) == "entail"[k])
            k++;
        if (k == 6)
            return (int)i;
    }
    return -1;
}

static int choose(call *c)
{
    ew_model *m = c->m;
    size_t n = c->q->choice_count, labels = m->label_count;
    const char *form = c->q->hypothesis ? c->q->hypothesis : "This example is {}.", *hole = strstr(form, "{}");
    int entailed = entailment(m), several = c->q->multi_label || n == 1;
    if (!n || !hole || entailed < 0)
        return unfit(c, !n ? "labels to choose from" : !hole ? "a {} for the label" : "a model of natural language inference");
    float *logits = need(c, 1, n, sizeof *logits);
    double *scores = need(c, 2, n, sizeof *scores);
    ranked *order = need(c, 3, n, sizeof *order);
    if (!logits || !scores || !order)
        return out_of_memory(c);
    for (size_t i = 0; i < n; i++) {
        size_t room = strlen(form) + strlen(c->q->choices[i]) + 1;
        char *text = need(c, 4, room, 1);
        if (!text)
            return out_of_memory(c);
        snprintf(text, room, "%.*s%s%s", (int)(hole - form), form, c->q->choices[i], hole + 2);
        int code = encoded(c, c->q->text, text, 1);
        if (code || (code = run_one(c)) || (code = check(c, 0, 2, 1, (int64_t)labels)))
            return code;
        float two[2] = {c->outputs[0].data[entailed == 0 ? labels - 1 : 0], c->outputs[0].data[entailed]};
        double shares[2];
        softmax(two, shares, 2);
        logits[i] = two[1], scores[i] = shares[1];
    }
    if (!several)
        softmax(logits, scores, n);
    for (size_t i = 0; i < n; i++)
        order[i] = (ranked){scores[i], n - 1 - i}; /* of equals the last stands first, as in transformers */
    qsort(order, n, sizeof *order, falling);
    for (size_t i = 0; i < most_of(c, n, n); i++) {
        size_t at = n - 1 - order[i].at;
        ew_item *item = add(c);
        if (!item || !(item->label = keep(c, c->q->choices[at], strlen(c->q->choices[at]))))
            return out_of_memory(c);
        item->score = scores[at], item->index = (uint32_t)at;
    }
    return EW_OK;
}

int ew_run(ew_model *m, const ew_request *request, ew_answer *out)
{
    static const struct {
        const char *task;
        int (*run)(call *);
    } tasks[] = {{"text-classification", classify}, {"token-classification", tag_tokens}, {"fill-mask", fill}, {"question-answering", answer},
                 {"feature-extraction", embed}, {"text-ranking", rank_texts}, {"zero-shot-classification", choose}};
    call c = {m, request, out, {0}, {0}, {{0}}, {0}};
    int code = EW_UNKNOWN_TASK;
    if (!out)
        return EW_ARGUMENT;
    forget(out);
    out->why[0] = 0;
    if (!m || !request || !request->text)
        return say(out->why, EW_ARGUMENT, "there is no model or no text");
    say(out->why, code, "%s: %s", m->task, ew_words(code));
    for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++)
        if (!strcmp(m->task, tasks[i].task)) {
            out->why[0] = 0;
            code = tasks[i].run(&c);
        }
    let_go(&c);
    ew_encoding_free(&c.e);
    for (size_t i = 0; i < sizeof c.owned / sizeof *c.owned; i++)
        free(c.owned[i]);
    if (code)
        forget(out);
    return code;
}
