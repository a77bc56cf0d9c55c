/* LiteRT by the C interface that libLiteRt.so has (litert/c of its releases 2.1.3 to 2.3), found by name: a file, its signatures
 * and their tensors. A part of edgewright.c, and of the runner for devices without Python, devices/run.c. */
#include <dlfcn.h>

enum { LITERT_CPU = 1, LITERT_READ = 0, LITERT_WRITE = 1, LITERT_CHANGE = 2, LITERT_FLOAT = 1, LITERT_INT32 = 2, LITERT_INT64 = 4, LITERT_PER_TENSOR = 1,
       LITERT_RANK = 8, LITERT_WHOLE = 2, LITERT_MISSING = -1000, LITERT_WHY = 256 };
enum { MOST_SIGNATURES = 256, MOST_TENSORS = 1 << 12, MOST_TENSOR_BYTES = 1 << 26 };
/* MOST_SIGNATURES, MOST_TENSORS: lengths double, and keys and values of a layer are two. MOST_TENSOR_BYTES: 64 rows of the
 * logits of the largest vocabularies, of 256,000 words. */

typedef struct { /* LiteRtRankedTensorType: its layout is part of LiteRT's stable interface */
    int element;
    unsigned rank : 7, has_strides : 1;
    int32_t shape[LITERT_RANK];
    uint32_t strides[LITERT_RANK];
} litert_type;

typedef struct { /* LiteRtQuantizationPerTensor */
    float scale;
    int64_t zero_point;
} litert_scale;

typedef struct {
    const char *name;
    litert_type type;
    litert_scale scale; /* of integers that stand for numbers; else 0 */
    size_t bytes;       /* 0 where a dimension is free: such a signature is described, and not run */
    void *buffer;
    int borrowed; /* whether the buffer is another tensor's */
} litert_tensor;

typedef struct {
    const char *key;
    litert_tensor *inputs, *outputs;
    size_t input_count, output_count;
    void **given, **made; /* their buffers, where it is ready to run */
} litert_signature;

typedef struct {
    void *library, *environment, *model, *options, *compiled;
    litert_signature *signatures;
    size_t count;
    int (*lock)(void *, void **, int), (*unlock)(void *), (*run)(void *, size_t, size_t, void **, size_t, void **);
    char why[LITERT_WHY]; /* what went wrong */
} litert;

typedef struct {
    int tag, unused;
    struct {
        int type, unused;
        int64_t value;
    } value;
} litert_setting;

typedef void (*litert_call)(void); /* cast to its own type before it is called */

static int litert_missing(void) { return LITERT_MISSING; }

static litert_call litert_found(const litert *l, const char *name)
{
    void *symbol = dlsym(l->library, name);
    litert_call function = (litert_call)litert_missing;
    if (symbol)
        memcpy(&function, &symbol, sizeof function); /* ISO C has no cast from an object to a function */
    return function;
}

static int litert_did(litert *l, const char *name, int status)
{
    if (status == LITERT_MISSING)
        snprintf(l->why, sizeof l->why, "this engine has no %s; LiteRT 2.1.3 to 2.3 are known to work", name);
    else if (status)
        snprintf(l->why, sizeof l->why, "%s gave status %d", name, status);
    return status;
}

/* Call a function of the library; what it gives is 0, or `why` says what went wrong. */
#define LITERT(l, name, types, ...) litert_did(l, #name, ((int(*) types)litert_found(l, #name))(__VA_ARGS__))

static int litert_refused(litert *l, const char *what)
{
    snprintf(l->why, sizeof l->why, "%s", what);
    return -1;
}

/* Whether the library is newer than 2.1, whose call to open a file takes no environment. */
static int litert_is_newer(const litert *l) { return dlsym(l->library, "LiteRtCreateModelFromFd") != NULL; }

static int litert_begun(litert *l)
{
    /* The CPU alone is looked for, no library of a GPU; only errors are said */
    static const litert_setting settings[] = {{24, 0, {LITERT_WHOLE, 0, LITERT_CPU}}, {25, 0, {LITERT_WHOLE, 0, 3}}};
    int newer = litert_is_newer(l);
    return LITERT(l, LiteRtCreateEnvironment, (int, const litert_setting *, void **), newer ? 2 : 0, newer ? settings : NULL, &l->environment);
}

static int litert_settle(litert *l, int threads)
{
    enum { SAID = 96 };
    char *said = malloc(SAID); /* the engine frees it */
    void *cpu = NULL;
    if (!said)
        return litert_refused(l, "no memory is left");
    /* Without a cache of packed weights each signature packs them anew; ":memory" is XNNPACK's name for one in memory */
    snprintf(said, SAID, "num_threads = %d\nweight_cache_file_path = \":memory\"\n", threads > 0 ? threads : 1);
    if (LITERT(l, LiteRtCreateOptions, (void **), &l->options)
        || LITERT(l, LiteRtSetOptionsHardwareAccelerators, (void *, int), l->options, LITERT_CPU)
        || LITERT(l, LiteRtCreateOpaqueOptions, (const char *, void *, void (*)(void *), void **), "xnnpack", said, free, &cpu))
        return free(said), -1;
    return LITERT(l, LiteRtAddOpaqueOptions, (void *, void *), l->options, cpu);
}

/* Bytes of an element by LiteRtElementType, 0 for one that is not known here. */
static size_t litert_width(int element)
{
    switch (element) {
    case LITERT_FLOAT: case LITERT_INT32: return 4;
    case 3: case 6: case 9: return 1;          /* uint8, bool, int8 */
    case LITERT_INT64: case 11: return 8;      /* float64 */
    case 7: case 10: return 2;                 /* int16, float16 */
    default: return 0;
    }
}

static int litert_described(litert *l, void *handle, const char *name, litert_tensor *out)
{
    int quantized = 0;
    out->name = name ? name : "";
    if (LITERT(l, LiteRtGetRankedTensorType, (void *, litert_type *), handle, &out->type)
        || LITERT(l, LiteRtGetQuantizationTypeId, (void *, int *), handle, &quantized)
        || (quantized == LITERT_PER_TENSOR && LITERT(l, LiteRtGetPerTensorQuantization, (void *, litert_scale *), handle, &out->scale)))
        return -1;
    out->bytes = litert_width(out->type.element);
    if (!out->bytes || out->type.rank > LITERT_RANK)
        return litert_refused(l, "the model has a tensor of a kind that is not known here");
    for (unsigned i = 0; i < out->type.rank; i++) {
        int32_t dim = out->type.shape[i];
        if (dim > 0 && out->bytes > (size_t)MOST_TENSOR_BYTES / (size_t)dim)
            return litert_refused(l, "the model has a tensor of more than 64 MiB");
        out->bytes *= dim > 0 ? (size_t)dim : 0;
    }
    return 0;
}

static int litert_read_signature(litert *l, size_t at, litert_signature *out)
{
    void *handle = NULL, *tensor = NULL;
    const char *name = NULL;
    int bad = LITERT(l, LiteRtGetModelSignature, (void *, size_t, void **), l->model, at, &handle)
        || LITERT(l, LiteRtGetSignatureKey, (void *, const char **), handle, &out->key)
        || LITERT(l, LiteRtGetNumSignatureInputs, (void *, size_t *), handle, &out->input_count)
        || LITERT(l, LiteRtGetNumSignatureOutputs, (void *, size_t *), handle, &out->output_count);
    if (bad)
        return out->input_count = out->output_count = 0, -1;
    if (out->input_count > MOST_TENSORS || out->output_count > MOST_TENSORS)
        return out->input_count = out->output_count = 0, litert_refused(l, "the model has a signature of more than 4096 tensors");
    out->inputs = calloc(out->input_count + out->output_count + 1, sizeof *out->inputs);
    if (!out->inputs)
        return out->input_count = out->output_count = 0, litert_refused(l, "no memory is left");
    out->outputs = out->inputs + out->input_count;
    for (size_t i = 0; !bad && i < out->input_count; i++)
        bad = LITERT(l, LiteRtGetSignatureInputName, (void *, size_t, const char **), handle, i, &name)
            || LITERT(l, LiteRtGetSignatureInputTensorByIndex, (void *, size_t, void **), handle, i, &tensor)
            || litert_described(l, tensor, name, &out->inputs[i]);
    for (size_t i = 0; !bad && i < out->output_count; i++)
        bad = LITERT(l, LiteRtGetSignatureOutputName, (void *, size_t, const char **), handle, i, &name)
            || LITERT(l, LiteRtGetSignatureOutputTensorByIndex, (void *, size_t, void **), handle, i, &tensor)
            || litert_described(l, tensor, name, &out->outputs[i]);
    return bad;
}

static int litert_hot(litert *l)
{
    /* Found once: between two tokens there is nothing but the work */
    litert_call all[] = {litert_found(l, "LiteRtLockTensorBuffer"), litert_found(l, "LiteRtUnlockTensorBuffer"), litert_found(l, "LiteRtRunCompiledModel")};
    for (size_t i = 0; i < 3; i++)
        if (all[i] == (litert_call)litert_missing)
            return litert_did(l, "functions to run a model", LITERT_MISSING);
    l->lock = (int (*)(void *, void **, int))all[0];
    l->unlock = (int (*)(void *))all[1];
    l->run = (int (*)(void *, size_t, size_t, void **, size_t, void **))all[2];
    return 0;
}

/* Open a file with the library that is loaded; 0, or `why` says what went wrong, and some of it may be open. */
static int litert_open_file(litert *l, const char *path, int threads)
{
    size_t count = 0;
    int bad = (!l->environment && litert_begun(l))
        || (litert_is_newer(l) ? LITERT(l, LiteRtCreateModelFromFile, (void *, const char *, void **), l->environment, path, &l->model)
                               : LITERT(l, LiteRtCreateModelFromFile, (const char *, void **), path, &l->model))
        || litert_settle(l, threads)
        || LITERT(l, LiteRtCreateCompiledModel, (void *, void *, void *, void **), l->environment, l->model, l->options, &l->compiled)
        || LITERT(l, LiteRtGetNumModelSignatures, (void *, size_t *), l->model, &count) || litert_hot(l);
    if (bad)
        return -1;
    if (!count || count > MOST_SIGNATURES)
        return litert_refused(l, count ? "the model has more than 256 signatures" : "the model has no signature");
    l->signatures = calloc(count, sizeof *l->signatures);
    if (!l->signatures)
        return litert_refused(l, "no memory is left");
    while (!bad && l->count < count) {
        bad = litert_read_signature(l, l->count, &l->signatures[l->count]);
        l->count++;
    }
    return bad;
}

/* Room for a tensor, as the engine wants it. */
static int litert_room(litert *l, void *wants, litert_tensor *t)
{
    size_t room = 0;
    if (!t->bytes)
        return litert_refused(l, "the model has a free length, fixed ones are wanted");
    if (LITERT(l, LiteRtCreateManagedTensorBufferFromRequirements, (void *, const litert_type *, void *, void **), l->environment, &t->type, wants, &t->buffer))
        return t->buffer = NULL, -1;
    if (LITERT(l, LiteRtGetTensorBufferSize, (void *, size_t *), t->buffer, &room))
        return -1;
    return room < t->bytes ? litert_refused(l, "the engine's buffer is smaller than the tensor") : 0;
}

/* Room for all tensors of a signature that have none yet. */
static int litert_ready(litert *l, size_t at)
{
    litert_signature *s = &l->signatures[at];
    size_t all = s->input_count + s->output_count;
    void *wants = NULL;
    int bad = 0;
    if (s->given)
        return 0;
    for (size_t i = 0; !bad && i < all; i++) {
        litert_tensor *t = &s->inputs[i]; /* outputs lie behind them */
        if (t->buffer)
            continue;
        bad = i < s->input_count
            ? LITERT(l, LiteRtGetCompiledModelInputBufferRequirements, (void *, size_t, size_t, void **), l->compiled, at, i, &wants)
            : LITERT(l, LiteRtGetCompiledModelOutputBufferRequirements, (void *, size_t, size_t, void **), l->compiled, at, i - s->input_count, &wants);
        bad = bad || litert_room(l, wants, t);
    }
    if (bad)
        return -1;
    s->given = malloc((all + 1) * sizeof *s->given);
    if (!s->given)
        return litert_refused(l, "no memory is left");
    s->made = s->given + s->input_count;
    for (size_t i = 0; i < all; i++)
        s->given[i] = s->inputs[i].buffer;
    return 0;
}

/* Where the bytes of a tensor are, for reading or writing until litert_unlocked; NULL where they cannot be had. */
static void *litert_locked(litert *l, litert_tensor *t, int way)
{
    void *place = NULL;
    return litert_did(l, "LiteRtLockTensorBuffer", l->lock(t->buffer, &place, way)) ? NULL : place;
}

static void litert_unlocked(litert *l, litert_tensor *t) { l->unlock(t->buffer); }

/* One inference of a signature that is ready. */
static int litert_ran(litert *l, size_t at)
{
    litert_signature *s = &l->signatures[at];
    return litert_did(l, "LiteRtRunCompiledModel", l->run(l->compiled, at, s->input_count, s->given, s->output_count, s->made));
}
