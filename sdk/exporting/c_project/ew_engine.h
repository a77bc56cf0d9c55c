/* A part of edgewright.c: the engine, and the settings of an exported model. */
/* ONNX Runtime's C interface is a table of functions whose order never changes: later versions add at its end. These are
 * the places of those used here, all of version 5 (2020), in the order of onnxruntime_c_api.h. */
enum { ORT_GET_ERROR_MESSAGE = 2, ORT_CREATE_ENV = 3, ORT_CREATE_SESSION = 7, ORT_CREATE_SESSION_FROM_ARRAY = 8, ORT_RUN = 9, ORT_CREATE_SESSION_OPTIONS = 10,
       ORT_DISABLE_MEM_PATTERN = 17, ORT_SET_LOG_SEVERITY = 22, ORT_SET_INTRA_THREADS = 24, ORT_SET_INTER_THREADS = 25,
       ORT_CREATE_TENSOR = 49, ORT_TENSOR_DATA = 51, ORT_GET_TYPE = 60, ORT_GET_DIMENSIONS_COUNT = 61, ORT_GET_DIMENSIONS = 62,
       ORT_GET_TYPE_AND_SHAPE = 65, ORT_CREATE_CPU_MEMORY_INFO = 69, ORT_RELEASE_ENV = 92, ORT_RELEASE_STATUS = 93,
       ORT_RELEASE_MEMORY_INFO = 94, ORT_RELEASE_SESSION = 95, ORT_RELEASE_VALUE = 96, ORT_RELEASE_TYPE_AND_SHAPE = 99,
       ORT_RELEASE_SESSION_OPTIONS = 100, ORT_ADD_CONFIG = 130 };
enum { ORT_API_VERSION = 5, ORT_WARNING = 2, ORT_ERROR = 3, ORT_FLOAT = 1, ORT_INT8 = 3, ORT_INT32 = 6, ORT_INT64 = 7, ORT_FLOAT16 = 10 };

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
    ort env, session, encoder_session, memory;
    char *settings; /* model.txt, cut into its words */
    const char *engine; /* what it is called */
    const char *encoder; /* of a translator, the file of its encoder */
    const char *task, *pooling, *problem, *activation, *prompt, *mask, *unknown;
    const char **labels;
    size_t label_count;
    uint32_t max_length;
    size_t characters; /* of a text so many are read, 0 is all: model2vec cuts them before it looks for tokens */
    int normalize, cut_left, pads_left, exact, segments;
    int32_t pad_id, mask_id, unknown_id;
    input inputs[MOST_INPUTS];
    char outputs[MOST_OUTPUTS][64];
    size_t input_count, output_count;
    struct ew_writer *writer; /* of a decoder, see ew_generate.h */
};
static int writer_takes(ew_model *, const char *key, char *value);
static int translator_takes(ew_model *, const char *key, char *value);
static int writer_whole(const ew_model *);
static int writer_begin(ew_model *, char *why);
static int writer_closes(ew_model *);
static void writer_free(ew_model *);
static int litert_open(ew_model *, const char *path, int threads, char *why);

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
    say(why, EW_ENGINE, "%s: %s", m->engine, ORT(m, ORT_GET_ERROR_MESSAGE, const char *, ort)(status));
    ORT(m, ORT_RELEASE_STATUS, void, ort)(status);
    return EW_ENGINE;
}

/* Let go of the pages of the engine's code that are not needed again. */
static void engine_rests(const ew_model *m)
{
    const void *symbol;
    memcpy(&symbol, &m->api[ORT_RUN], sizeof symbol);
    pages_leave(symbol);
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

static ort open_session(ew_model *m, const char *path, ort options, ort *out)
{
    size_t n = strlen(path);
    if (n < 4 || strcmp(path + n - 4, ".ort") || out != &m->session || (!m->map && !mapped(m, path)))
        return ORT(m, ORT_CREATE_SESSION, ort, ort, const char *, ort, ort *)(m->env, path, options, out);
    return ORT(m, ORT_CREATE_SESSION_FROM_ARRAY, ort, ort, const void *, size_t, ort, ort *)(m->env, m->map, m->map_bytes, options, out);
}

static ort configured(ew_model *m, ort options, const char *name)
{
    return ORT(m, ORT_ADD_CONFIG, ort, ort, const char *, const char *)(options, name, "1");
}

static int session_of(ew_model *m, const char *path, int threads, int exact, ort *out, char *why)
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
        code = engine_failed(m, open_session(m, path, options, out), why);
    ORT(m, ORT_RELEASE_SESSION_OPTIONS, void, ort)(options);
    return code;
}

/* One whose int8 products do not saturate; an engine that refuses the exact form takes the other, as in Python. */
static int session(ew_model *m, const char *path, int threads, ort *out, char *why)
{
    int exact = products_saturate(), code = session_of(m, path, threads, exact, out, why);
    return code && exact ? session_of(m, path, threads, 0, out, why) : code;
}

#ifdef EW_LINKED_ENGINE /* a program that is linked with ONNX Runtime, as an app for iOS */
const ort_base *OrtGetApiBase(void);
static const ort_base *linked(void) { return OrtGetApiBase(); }
#else
static const ort_base *linked(void) { return NULL; }
#endif

static int load(ew_model *m, const char *directory, const char *file, const ew_options *options, char *why)
{
    static const char *const names[] = {"libonnxruntime.so.1", "libonnxruntime.so", "libLiteRt.so"};
    const char *engine = options ? options->engine : NULL;
    const ort_base *(*base)(void) = engine ? NULL : linked;
    size_t n = strlen(file), lite = n > 7 && !strcmp(file + n - 7, ".tflite");
    char path[4096];
    m->engine = lite ? "LiteRT" : "ONNX Runtime";
    if (snprintf(path, sizeof path, "%s/%s", directory, file) >= (int)sizeof path)
        return say(why, EW_ARGUMENT, "the directory's name is too long");
    setenv("ORT_DISABLE_TELEMETRY", "1", 0); /* it would write into the home directory */
    int known = base && !lite && base();
    if (engine)
        m->library = dlopen(engine, RTLD_NOW | RTLD_LOCAL);
    for (size_t i = lite ? 2 : 0; i < (lite ? 3 : 2) && !engine && !known && !m->library; i++)
        m->library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (!m->library && !known)
        return say(why, EW_ENGINE, "the engine does not load: %s", dlerror());
    if (lite)
        return litert_open(m, path, options ? options->threads : 1, why);
    void *symbol = known ? NULL : dlsym(m->library, "OrtGetApiBase");
    if (!known)
        memcpy(&base, &symbol, sizeof base);
    m->api = base ? base()->get_api(ORT_API_VERSION) : NULL;
    if (!m->api)
        return say(why, EW_ENGINE, "%s is no ONNX Runtime of version 1.5 or later", engine ? engine : "the library");
    int code = engine_failed(m, ORT(m, ORT_CREATE_ENV, ort, int, const char *, ort *)(ORT_ERROR, "edgewright", &m->env), why);
    engine_rests(m); /* of telling each operator's schema, 7 MiB */
    if (!code)
        code = engine_failed(m, ORT(m, ORT_CREATE_CPU_MEMORY_INFO, ort, int, int, ort *)(0, 0, &m->memory), why);
    if (!code) {
        int threads = options ? options->threads : 1;
        code = session(m, path, threads, &m->session, why);
        if (!code && *m->encoder && snprintf(path, sizeof path, "%s/%s", directory, m->encoder) >= (int)sizeof path)
            return say(why, EW_ARGUMENT, "the directory's name is too long");
        if (!code && *m->encoder)
            code = session(m, path, threads, &m->encoder_session, why);
        engine_rests(m); /* of making a graph quicker */
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
                 {"prompt", &m->prompt}, {"mask", &m->mask}, {"unknown", &m->unknown}, {"model", file},
                 {"encoder", &m->encoder}};
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
    if (writer_takes(m, key, value) || translator_takes(m, key, value))
        return 1;
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
    if (!strcmp(key, "characters") && number >= 0)
        return m->characters = (size_t)number, 1;
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
            return say(why, EW_ALTERED, "%s/model.txt: %s %.80s is nothing that is known", directory, line, value);
    }
    int whole = m->writer ? writer_whole(m) : m->input_count && m->output_count;
    if (!*m->task || !**file || !whole || !m->max_length)
        return say(why, EW_ALTERED, "%s/model.txt: it does not say all that is needed", directory);
    return EW_OK;
}

static void model_free(ew_model *m)
{
    writer_free(m);
    if (m->session)
        ORT(m, ORT_RELEASE_SESSION, void, ort)(m->session);
    if (m->encoder_session)
        ORT(m, ORT_RELEASE_SESSION, void, ort)(m->encoder_session);
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

int ew_open(ew_model **out, const char *directory, const ew_options *options, char *why)
{
    char path[4096];
    const char *file = "";
    ew_model *m = calloc(1, sizeof *m);
    *out = NULL;
    if (!m)
        return say(why, EW_MEMORY, "%s", ew_words(EW_MEMORY));
    m->encoder = m->task = m->pooling = m->problem = m->activation = m->prompt = m->mask = m->unknown = "";
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
        int heap = options && options->huge_pages && pages_begin();
        code = load(m, directory, file, options, why);
        if (!code && heap)
            pages_end();
        if (!code && m->writer)
            code = writer_begin(m, why);
    }
    if (code)
        model_free(m);
    else
        *out = m;
    return code;
}

void ew_close(ew_model *m)
{
    if (m && !writer_closes(m))
        model_free(m);
}

const char *ew_task(const ew_model *m) { return m->task; }
const ew_tokenizer *ew_tokenizer_of(const ew_model *m) { return m->tokenizer; }
