/* A part of edgewright.c: LiteRT as the engine of a .tflite file, by the C interface that libLiteRt.so has (litert/c of its
 * sources, version 2.3), found by name. A file has a signature for each of some lengths; a row goes into the shortest that
 * holds it, padded with zeros, which a mask of zeros hides. One run at a time: others wait. */
#include <pthread.h>

enum { LITERT_CPU = 1, LITERT_HOST_MEMORY = 1, LITERT_READ = 0, LITERT_WRITE = 1, LITERT_FLOAT = 1, LITERT_INT32 = 2, LITERT_RANK = 8, LITERT_WHOLE = 2, MOST_SIGNATURES = 32 };
/* MOST_SIGNATURES: lengths double from 16 on, so that a dozen holds any. */

typedef struct {
    int element;
    uint32_t rank; /* its low 7 bits; the next says whether there are strides, of which a file has none */
    int32_t shape[LITERT_RANK];
    uint32_t strides[LITERT_RANK];
} litert_type;

typedef struct {
    int tag, unused;
    struct {
        int type, unused;
        int64_t value;
    } value;
} litert_setting;

/* Of the environment: the CPU alone is looked for, no library of a GPU; only errors are said. */
static const litert_setting litert_settings[] = {{24, 0, {LITERT_WHOLE, 0, LITERT_CPU}}, {25, 0, {LITERT_WHOLE, 0, 3}}};

typedef struct {
    const char *name;
    litert_type type;
    void *buffer; /* made when it is first needed */
} litert_tensor;

typedef struct {
    litert_tensor inputs[MOST_INPUTS], outputs[MOST_OUTPUTS];
    size_t input_count, output_count;
} litert_signature;

typedef struct {
    void *library, *environment, *model, *compiled;
    litert_signature signatures[MOST_SIGNATURES];
    size_t count;
    pthread_mutex_t one;
} litert;

#define LITERT(l, name, ...) ((int (*)(__VA_ARGS__))litert_function((l)->library, #name))

static int litert_missing(void) { return -1; }

static ort_call litert_function(void *library, const char *name)
{
    void *symbol = dlsym(library, name);
    ort_call function = (ort_call)litert_missing;
    if (symbol)
        memcpy(&function, &symbol, sizeof function);
    return function;
}

static void litert_closed(void *session)
{
    litert *l = session;
    static const char *const ends[] = {"LiteRtDestroyCompiledModel", "LiteRtDestroyModel", "LiteRtDestroyEnvironment"};
    void *all[] = {l->compiled, l->model, l->environment};
    for (size_t i = 0; i < l->count; i++)
        for (size_t k = 0; k < MOST_INPUTS + MOST_OUTPUTS; k++) {
            void *buffer = k < MOST_INPUTS ? l->signatures[i].inputs[k].buffer : l->signatures[i].outputs[k - MOST_INPUTS].buffer;
            if (buffer)
                LITERT(l, LiteRtDestroyTensorBuffer, void *)(buffer);
        }
    for (size_t i = 0; i < 3; i++)
        if (all[i])
            ((void (*)(void *))litert_function(l->library, ends[i]))(all[i]);
    pthread_mutex_destroy(&l->one);
    free(l);
}

static int litert_described(litert *l, void *signature, litert_signature *out)
{
    void *tensor;
    int bad = LITERT(l, LiteRtGetNumSignatureInputs, void *, size_t *)(signature, &out->input_count)
        || LITERT(l, LiteRtGetNumSignatureOutputs, void *, size_t *)(signature, &out->output_count) || out->input_count > MOST_INPUTS
        || out->output_count > MOST_OUTPUTS;
    for (size_t i = 0; !bad && i < out->input_count; i++) {
        litert_tensor *one = &out->inputs[i];
        bad = LITERT(l, LiteRtGetSignatureInputName, void *, size_t, const char **)(signature, i, &one->name)
            || LITERT(l, LiteRtGetSignatureInputTensorByIndex, void *, size_t, void **)(signature, i, &tensor)
            || LITERT(l, LiteRtGetRankedTensorType, void *, litert_type *)(tensor, &one->type) || one->type.element != LITERT_INT32
            || one->type.rank != 2 || one->type.shape[0] != 1 || one->type.shape[1] < 1 || one->type.shape[1] != out->inputs[0].type.shape[1];
    }
    for (size_t i = 0; !bad && i < out->output_count; i++) {
        litert_tensor *one = &out->outputs[i];
        bad = LITERT(l, LiteRtGetSignatureOutputName, void *, size_t, const char **)(signature, i, &one->name)
            || LITERT(l, LiteRtGetSignatureOutputTensorByIndex, void *, size_t, void **)(signature, i, &tensor)
            || LITERT(l, LiteRtGetRankedTensorType, void *, litert_type *)(tensor, &one->type) || one->type.element != LITERT_FLOAT
            || one->type.rank < 2 || one->type.rank > 3 || one->type.shape[0] != 1 || one->type.shape[1] < 1
            || (one->type.rank > 2 && one->type.shape[2] < 1);
    }
    return !bad;
}

static int litert_options(litert *l, int threads, void **out)
{
    char *said = malloc(32); /* the engine frees it */
    void *cpu = NULL;
    if (LITERT(l, LiteRtCreateOptions, void **)(out) || LITERT(l, LiteRtSetOptionsHardwareAccelerators, void *, int)(*out, LITERT_CPU) || !said)
        return free(said), -1;
    snprintf(said, 32, "num_threads = %d\n", threads > 0 ? threads : 1);
    if (LITERT(l, LiteRtCreateOpaqueOptions, const char *, void *, void (*)(void *), void **)("xnnpack", said, free, &cpu))
        return free(said), -1;
    return LITERT(l, LiteRtAddOpaqueOptions, void *, void *)(*out, cpu);
}

static int litert_begun(litert *l, const char *path, int threads)
{
    void *options = NULL, *signature;
    size_t count = 0;
    int bad = LITERT(l, LiteRtCreateEnvironment, int, const litert_setting *, void **)(2, litert_settings, &l->environment)
        || LITERT(l, LiteRtCreateModelFromFile, void *, const char *, void **)(l->environment, path, &l->model)
        || LITERT(l, LiteRtGetNumModelSignatures, void *, size_t *)(l->model, &count) || count > MOST_SIGNATURES
        || litert_options(l, threads, &options) || LITERT(l, LiteRtCreateCompiledModel, void *, void *, void *, void **)(l->environment, l->model, options, &l->compiled);
    if (options)
        LITERT(l, LiteRtDestroyOptions, void *)(options);
    l->count = bad ? 0 : count;
    for (size_t i = 0; !bad && i < l->count; i++)
        bad = LITERT(l, LiteRtGetModelSignature, void *, size_t, void **)(l->model, i, &signature) || !litert_described(l, signature, &l->signatures[i]);
    return !bad && l->count;
}

/* Room of a tensor's, and where its bytes are for reading or writing; NULL where there is none. */
static void *litert_locked(litert *l, litert_tensor *t, int way)
{
    void *place = NULL;
    size_t bytes = 4;
    for (uint32_t i = 0; i < t->type.rank; i++)
        bytes *= (size_t)t->type.shape[i];
    if (!t->buffer && LITERT(l, LiteRtCreateManagedTensorBuffer, void *, int, const litert_type *, size_t, void **)(
                          l->environment, LITERT_HOST_MEMORY, &t->type, bytes, &t->buffer))
        return t->buffer = NULL;
    return LITERT(l, LiteRtLockTensorBuffer, void *, void **, int)(t->buffer, &place, way) ? NULL : place;
}

static int litert_row(litert *l, size_t at, const char *const *names, value *const *given, size_t count, size_t row, size_t n)
{
    litert_signature *s = &l->signatures[at];
    void *inputs[MOST_INPUTS], *outputs[MOST_OUTPUTS];
    for (size_t i = 0; i < s->input_count; i++) {
        size_t k = 0, length = (size_t)s->inputs[i].type.shape[1];
        while (k < count && strcmp(names[k], s->inputs[i].name))
            k++;
        int32_t *place = litert_locked(l, &s->inputs[i], LITERT_WRITE);
        if (!place || k == count || given[k]->type != ORT_INT32)
            return 0;
        memset(place, 0, length * sizeof *place);
        memcpy(place, (const int32_t *)given[k]->data + row * n, n * sizeof *place);
        LITERT(l, LiteRtUnlockTensorBuffer, void *)(s->inputs[i].buffer);
        inputs[i] = s->inputs[i].buffer;
    }
    for (size_t i = 0; i < s->output_count; i++) {
        if (!litert_locked(l, &s->outputs[i], LITERT_READ))
            return 0;
        LITERT(l, LiteRtUnlockTensorBuffer, void *)(s->outputs[i].buffer);
        outputs[i] = s->outputs[i].buffer;
    }
    return !LITERT(l, LiteRtRunCompiledModel, void *, size_t, size_t, void **, size_t, void **)(l->compiled, at, s->input_count, inputs, s->output_count, outputs);
}

/* Of an output its first row: whether dimension 1 is the tokens', of which the first `n` are real. */
static int per_token(const litert_tensor *t)
{
    size_t n = strlen(t->name);
    return t->type.rank > 2 || (n > 7 && !strcmp(t->name + n - 7, "_logits")); /* start_logits and end_logits */
}

static int litert_taken(litert *l, litert_tensor *t, value **out, size_t row, size_t rows, size_t n)
{
    size_t last = t->type.rank > 2 ? (size_t)t->type.shape[2] : 1, each = per_token(t) ? n * last : (size_t)t->type.shape[1];
    if (!*out) {
        float *data = malloc(rows * each * sizeof *data);
        int second = (int)(per_token(t) ? n : each);
        if (!data || !(*out = value_of(data, (int)t->type.rank, (int)rows, second, t->type.rank > 2 ? (int)last : 1)))
            return free(data), 0;
    }
    const float *place = per_token(t) && (size_t)t->type.shape[1] < n ? NULL : litert_locked(l, t, LITERT_READ);
    if (!place)
        return 0;
    memcpy((float *)(*out)->data + row * each, place, each * sizeof *place);
    LITERT(l, LiteRtUnlockTensorBuffer, void *)(t->buffer);
    return 1;
}

static void *litert_run(void *session, void *options, const char *const *names, void *const *given, size_t count, const char *const *asked, size_t outputs, void **out)
{
    litert *l = session;
    const value *first = given[0];
    size_t rows = (size_t)first->shape[0], n = (size_t)first->shape[1], at = l->count, good = 1;
    (void)options;
    for (size_t i = 0; i < l->count; i++) {
        size_t length = (size_t)l->signatures[i].inputs[0].type.shape[1];
        if (length >= n && (at == l->count || length < (size_t)l->signatures[at].inputs[0].type.shape[1]))
            at = i;
    }
    if (at == l->count)
        return "a text is longer than the file has a signature for";
    pthread_mutex_lock(&l->one);
    for (size_t row = 0; good && row < rows; row++) {
        good = (size_t)litert_row(l, at, names, (value *const *)given, count, row, n);
        for (size_t k = 0; good && k < outputs; k++) {
            litert_signature *s = &l->signatures[at];
            size_t i = 0;
            while (i < s->output_count && strcmp(s->outputs[i].name, asked[k]))
                i++;
            good = i < s->output_count && litert_taken(l, &s->outputs[i], (value **)&out[k], row, rows, n);
        }
    }
    pthread_mutex_unlock(&l->one);
    return good ? NULL : "the model does not run";
}

/* By the places that ew_engine.h names, as far as a run needs them. */
static const ort_call litert_table[SLOTS] = {VALUES_IN_TABLE, [ORT_RUN] = (ort_call)litert_run, [ORT_RELEASE_SESSION] = (ort_call)litert_closed};

static int litert_open(ew_model *m, const char *path, int threads, char *why)
{
    litert *l = calloc(1, sizeof *l);
    if (!l)
        return say(why, EW_MEMORY, "%s", ew_words(EW_MEMORY));
    if (!dlsym(m->library, "LiteRtCreateCompiledModel"))
        return free(l), say(why, EW_ENGINE, "the library is no LiteRT of version 2");
    l->library = m->library;
    pthread_mutex_init(&l->one, NULL);
    m->session = l, m->api = litert_table; /* model_free closes it */
    return litert_begun(l, path, threads) ? EW_OK : say(why, EW_ENGINE, "LiteRT does not open %s", path);
}
