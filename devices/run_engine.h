/* LiteRT by its C interface, declared after litert/c of its releases 2.1 to 2.3 and loaded with dlopen. */
#include <dlfcn.h>
#include <time.h>

enum { CPU = 1, READ = 0, WRITE = 1, MOST_RANK = 8, MOST_TENSORS = 64, MOST_SIGNATURES = 256, PER_TENSOR = 1 };
enum { MOST_RUNS = 100000, MOST_FEEDS = 4096, MOST_THREADS = 1024 };

struct ranked { /* LiteRtRankedTensorType: its layout is part of LiteRT's stable interface */
    int type;
    unsigned int rank : 7, has_strides : 1;
    int32_t dims[MOST_RANK];
    uint32_t strides[MOST_RANK];
};
struct scale { float scale; int64_t zero_point; }; /* LiteRtQuantizationPerTensor */

struct tensor { const char *name; struct ranked kind; struct scale scale; size_t size; void *buffer; };
struct signature {
    const char *key;
    size_t inputs, outputs;
    struct tensor input[MOST_TENSORS], output[MOST_TENSORS];
    bool ready;
};

static struct {
    void *library, *environment, *model, *options, *compiled;
    struct signature *signatures;
    size_t count;
    uint64_t load_ns;
} engine;

typedef void (*anything)(void); /* cast to its own type before it is called */

static anything found(const char *name)
{
    void *symbol = dlsym(engine.library, name);
    if (!symbol) {
        fprintf(stderr, "edgewright-run: this engine has no %s; LiteRT 2.1 to 2.3 are known to work\n", name);
        exit(2);
    }
    anything function;
    memcpy(&function, &symbol, sizeof function); /* ISO C has no cast from an object to a function */
    return function;
}

/* Call a function of the library, with its own types; end the process, in words, where it fails. */
#define CALL(name, types, ...) (((int(*) types)found(name))(__VA_ARGS__))
#define MUST(name, types, ...) must(name, CALL(name, types, __VA_ARGS__))

static void must(const char *name, int status)
{
    if (!status)
        return;
    fprintf(stderr, "edgewright-run: %s gave status %d\n", name, status);
    exit(3);
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void load(const char *library)
{
    engine.library = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (!engine.library) {
        fprintf(stderr, "edgewright-run: cannot load the engine: %s\n", dlerror());
        exit(2);
    }
    MUST("LiteRtCreateEnvironment", (int, const void *, void **), 0, NULL, &engine.environment);
}

static void drop(void *payload) { (void)payload; }

static void open_model(const char *path, int threads)
{
    static char text[128];
    void *opaque = NULL;
    if (dlsym(engine.library, "LiteRtCreateModelFromFd")) /* LiteRT 2.1 has not that, and gives no environment here */
        MUST("LiteRtCreateModelFromFile", (void *, const char *, void **), engine.environment, path, &engine.model);
    else
        MUST("LiteRtCreateModelFromFile", (const char *, void **), path, &engine.model);
    MUST("LiteRtCreateOptions", (void **), &engine.options);
    MUST("LiteRtSetOptionsHardwareAccelerators", (void *, int), engine.options, CPU);
    /* Without a cache of packed weights each signature packs them anew; ":memory" is XNNPACK's name for one in memory */
    snprintf(text, sizeof text, "num_threads = %d\nweight_cache_file_path = \":memory\"\n", threads);
    MUST("LiteRtCreateOpaqueOptions", (const char *, void *, void (*)(void *), void **), "xnnpack", text, drop, &opaque);
    MUST("LiteRtAddOpaqueOptions", (void *, void *), engine.options, opaque);
    MUST("LiteRtCreateCompiledModel", (void *, void *, void *, void **), engine.environment, engine.model,
         engine.options, &engine.compiled);
}

static size_t width_of(int type)
{
    switch (type) { /* LiteRtElementType */
    case 1: case 2: return 4;                 /* float32, int32 */
    case 3: case 6: case 9: return 1;         /* uint8, bool, int8 */
    case 4: case 11: return 8;                /* int64, float64 */
    case 7: case 10: return 2;                /* int16, float16 */
    default: return 0;
    }
}

static void describe(void *handle, const char *name, struct tensor *tensor)
{
    int quantized = 0;
    tensor->name = name ? name : "";
    MUST("LiteRtGetRankedTensorType", (void *, struct ranked *), handle, &tensor->kind);
    MUST("LiteRtGetQuantizationTypeId", (void *, int *), handle, &quantized);
    if (quantized == PER_TENSOR)
        MUST("LiteRtGetPerTensorQuantization", (void *, struct scale *), handle, &tensor->scale);
    tensor->size = width_of(tensor->kind.type);
    if (!tensor->size || tensor->kind.rank > MOST_RANK)
        fatal("the model has a tensor of a kind that is not known here");
    for (unsigned i = 0; i < tensor->kind.rank; i++) {
        int32_t dim = tensor->kind.dims[i];
        if (dim > 0 && tensor->size > (size_t)MOST_BYTES / (size_t)dim)
            fatal("the model has a tensor of more than 64 MiB");
        tensor->size *= dim > 0 ? (size_t)dim : 0; /* a free dimension: such a signature is described, and not run */
    }
}

static void describe_signature(size_t at, struct signature *signature)
{
    void *handle = NULL, *tensor = NULL;
    const char *name = NULL;
    MUST("LiteRtGetModelSignature", (void *, size_t, void **), engine.model, at, &handle);
    MUST("LiteRtGetSignatureKey", (void *, const char **), handle, &signature->key);
    MUST("LiteRtGetNumSignatureInputs", (void *, size_t *), handle, &signature->inputs);
    MUST("LiteRtGetNumSignatureOutputs", (void *, size_t *), handle, &signature->outputs);
    if (signature->inputs > MOST_TENSORS || signature->outputs > MOST_TENSORS)
        fatal("the model has a signature of more than 64 tensors");
    for (size_t i = 0; i < signature->inputs; i++) {
        MUST("LiteRtGetSignatureInputName", (void *, size_t, const char **), handle, i, &name);
        MUST("LiteRtGetSignatureInputTensorByIndex", (void *, size_t, void **), handle, i, &tensor);
        describe(tensor, name, &signature->input[i]);
    }
    for (size_t i = 0; i < signature->outputs; i++) {
        MUST("LiteRtGetSignatureOutputName", (void *, size_t, const char **), handle, i, &name);
        MUST("LiteRtGetSignatureOutputTensorByIndex", (void *, size_t, void **), handle, i, &tensor);
        describe(tensor, name, &signature->output[i]);
    }
}

static void describe_all(void)
{
    MUST("LiteRtGetNumModelSignatures", (void *, size_t *), engine.model, &engine.count);
    if (engine.count > MOST_SIGNATURES)
        fatal("the model has more than 256 signatures");
    engine.signatures = calloc(engine.count ? engine.count : 1, sizeof *engine.signatures);
    if (!engine.signatures)
        fatal("no memory is left");
    for (size_t i = 0; i < engine.count; i++)
        describe_signature(i, &engine.signatures[i]);
}

static void make_buffer(size_t at, size_t i, const char *wanted, struct tensor *tensor)
{
    void *wants = NULL;
    size_t room = 0;
    must(wanted, CALL(wanted, (void *, size_t, size_t, void **), engine.compiled, at, i, &wants));
    MUST("LiteRtCreateManagedTensorBufferFromRequirements", (void *, const struct ranked *, void *, void **),
         engine.environment, &tensor->kind, wants, &tensor->buffer);
    MUST("LiteRtGetTensorBufferSize", (void *, size_t *), tensor->buffer, &room);
    if (room < tensor->size)
        fatal("the engine's buffer is smaller than the tensor");
}

static void make_ready(size_t at, struct signature *signature)
{
    if (signature->ready)
        return;
    for (size_t i = 0; i < signature->inputs; i++)
        make_buffer(at, i, "LiteRtGetCompiledModelInputBufferRequirements", &signature->input[i]);
    for (size_t i = 0; i < signature->outputs; i++)
        make_buffer(at, i, "LiteRtGetCompiledModelOutputBufferRequirements", &signature->output[i]);
    signature->ready = true;
}

/* The functions of an inference, found once: between two readings of the clock there is nothing but the work. */
static struct {
    int (*lock)(void *, void **, int);
    int (*unlock)(void *);
    int (*run)(void *, size_t, size_t, void **, size_t, void **);
} hot;

static void find_hot(void)
{
    hot.lock = (int (*)(void *, void **, int))found("LiteRtLockTensorBuffer");
    hot.unlock = (int (*)(void *))found("LiteRtUnlockTensorBuffer");
    hot.run = (int (*)(void *, size_t, size_t, void **, size_t, void **))found("LiteRtRunCompiledModel");
}

/* One inference of a signature that is ready: inputs written, outputs made; their bytes go to `into` unless NULL. */
static int run_once(size_t at, const struct slice *given, struct bytes *into)
{
    struct signature *signature = &engine.signatures[at];
    void *inputs[MOST_TENSORS], *outputs[MOST_TENSORS], *there = NULL;
    for (size_t i = 0; i < signature->inputs; i++) {
        inputs[i] = signature->input[i].buffer;
        if (hot.lock(inputs[i], &there, WRITE))
            return failed("LiteRT does not lock input %zu", i);
        memcpy(there, given[i].data, given[i].size);
        hot.unlock(inputs[i]);
    }
    for (size_t i = 0; i < signature->outputs; i++)
        outputs[i] = signature->output[i].buffer;
    int status = hot.run(engine.compiled, at, signature->inputs, inputs, signature->outputs, outputs);
    if (status)
        return failed("LiteRT's inference gave status %d", status);
    for (size_t i = 0; i < signature->outputs; i++) {
        if (hot.lock(outputs[i], &there, READ))
            return failed("LiteRT does not lock output %zu", i);
        if (into) {
            add_number(into, signature->output[i].size, 4);
            add(into, there, signature->output[i].size);
        }
        hot.unlock(outputs[i]);
    }
    return 0;
}

/* The signature that a field names, checked with the inputs that follow it: sizes, and ids and masks not negative. */
static int signature_at(size_t field, size_t *at)
{
    uint64_t number;
    if (!number_at(field, &number) || number >= engine.count)
        return failed("the model has %zu signatures, and not the one that was asked", engine.count);
    *at = (size_t)number;
    struct signature *signature = &engine.signatures[*at];
    if (field_count - field - 1 < signature->inputs)
        return failed("%zu inputs came, the signature has %zu", field_count - field - 1, signature->inputs);
    for (size_t i = 0; i < signature->inputs; i++) {
        struct slice given = fields[field + 1 + i];
        size_t width = width_of(signature->input[i].kind.type);
        if (!signature->input[i].size || given.size != signature->input[i].size)
            return failed("input %zu has %zu bytes, %zu are wanted", i, given.size, signature->input[i].size);
        bool integers = signature->input[i].kind.type == 2 || signature->input[i].kind.type == 4;
        for (size_t j = width; integers && j <= given.size; j += width)
            if (given.data[j - 1] & 0x80)
                return failed("input %zu has a negative number at %zu", i, j / width - 1);
    }
    for (size_t i = 0; i < signature->outputs; i++)
        if (!signature->output[i].size)
            return failed("output %zu has a free dimension", i);
    make_ready(*at, signature);
    return 0;
}

static int infer_once(void)
{
    size_t at = 0;
    struct bytes made = {NULL, 0, 0};
    int error = signature_at(0, &at);
    if (!error && field_count - 1 != engine.signatures[at].inputs)
        error = failed("more inputs came than the signature has");
    uint64_t began = now_ns();
    error = error ? error : run_once(at, fields + 1, &made);
    uint64_t took = now_ns() - began;
    if (!error) {
        begin(0);
        say_number(took);
        add(&answer, made.data, made.size);
    }
    free(made.data);
    return error;
}

/* The high-water mark of resident memory in KiB, as proc(5) has it. */
static uint64_t peak_kib(void)
{
    char line[256];
    unsigned long long found = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "VmHWM: %llu", &found) == 1)
            break;
    if (file)
        fclose(file);
    return found;
}

struct plan { uint64_t runs, warmup_runs, warmup_ms, least_ms, most_runs; };

static int measure(const struct plan *plan, const size_t *at, const size_t *where, size_t feeds)
{
    uint64_t began = now_ns(), done = 0, total = 0, target = plan->runs > feeds ? plan->runs : feeds;
    for (; done < plan->warmup_runs || now_ns() - began < plan->warmup_ms * 1000000u; done++)
        if (run_once(at[done % feeds], fields + where[done % feeds], NULL))
            return ENGINE;
    struct bytes samples = {NULL, 0, 0};
    int error = 0;
    for (done = 0; !error && done < plan->most_runs && (done < target || total < plan->least_ms * 1000000u); done++) {
        uint64_t start = now_ns();
        error = run_once(at[done % feeds], fields + where[done % feeds], NULL);
        uint64_t took = now_ns() - start;
        total += took;
        add_number(&samples, took, 8);
    }
    if (!error) {
        begin(0);
        say(samples.data, samples.size);
        say_number(peak_kib());
    }
    free(samples.data);
    return error;
}

/* Fields: runs, warm-up runs, warm-up ms, least ms, most runs; then for each feed its signature and its inputs. */
static int bench(void)
{
    static size_t at[MOST_FEEDS], where[MOST_FEEDS];
    struct plan plan;
    size_t feeds = 0;
    uint64_t *numbers[] = {&plan.runs, &plan.warmup_runs, &plan.warmup_ms, &plan.least_ms, &plan.most_runs};
    for (size_t i = 0; i < 5; i++)
        if (!number_at(i, numbers[i]) || *numbers[i] > MOST_RUNS)
            return failed("a number of runs or milliseconds is missing, or above %d", MOST_RUNS);
    for (size_t field = 5; field < field_count; feeds++) {
        if (feeds == MOST_FEEDS)
            return failed("more than %d feeds came", MOST_FEEDS);
        if (signature_at(field, &at[feeds]))
            return ENGINE;
        where[feeds] = field + 1;
        field += 1 + engine.signatures[at[feeds]].inputs;
    }
    if (!feeds || !plan.most_runs)
        return failed("nothing came to be measured");
    return measure(&plan, at, where, feeds);
}

static void say_tensor(const struct tensor *tensor)
{
    uint64_t scale = 0;
    uint32_t bits;
    memcpy(&bits, &tensor->scale.scale, sizeof bits);
    scale = bits;
    say_text(tensor->name);
    say_number((uint64_t)tensor->kind.type);
    say_number(scale);
    say_number((uint64_t)tensor->scale.zero_point);
    say(tensor->kind.dims, tensor->kind.rank * sizeof *tensor->kind.dims);
}

static int tell(void)
{
    begin(0);
    say_number(engine.load_ns);
    say_number(peak_kib());
    say_number(engine.count);
    for (size_t i = 0; i < engine.count; i++) {
        struct signature *signature = &engine.signatures[i];
        say_text(signature->key);
        say_number(signature->inputs);
        say_number(signature->outputs);
        for (size_t j = 0; j < signature->inputs; j++)
            say_tensor(&signature->input[j]);
        for (size_t j = 0; j < signature->outputs; j++)
            say_tensor(&signature->output[j]);
    }
    return 0;
}
