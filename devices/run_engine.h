/* The engine of the runner's device: LiteRT, by the parts of the C core that open it and decode with it. */
#include <math.h>
#include <time.h>

#include "ew_litert.h"
#include "ew_litert_decoder.h"

enum { MOST_RUNS = 100000, MOST_FEEDS = 4096, MOST_THREADS = 1024 };
/* Choices: more is a mistake, or means to keep the device for itself. */

static litert engine;
static litert_decoder decoder;
static char no_decoder[LITERT_WHY]; /* why the file is none; "" where it is one */
static uint64_t load_ns;

static void must(int bad, int exit_code)
{
    if (!bad)
        return;
    fprintf(stderr, "edgewright-run: %s\n", engine.why);
    exit(exit_code);
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void load(const char *library)
{
    uint64_t began = now_ns();
    engine.library = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (!engine.library) {
        fprintf(stderr, "edgewright-run: cannot load the engine: %s\n", dlerror());
        exit(2);
    }
    must(litert_begun(&engine), 2);
    load_ns = now_ns() - began;
}

static void open_model(const char *path, int threads)
{
    uint64_t began = now_ns();
    must(litert_open_file(&engine, path, threads), 3);
    if (litert_decodes(&decoder, &engine))
        memcpy(no_decoder, engine.why, sizeof no_decoder);
    load_ns += now_ns() - began;
}

/* One inference of a signature that is ready: inputs written, outputs made; their bytes go to `into` unless NULL. */
static int run_once(size_t at, const struct slice *given, struct bytes *into)
{
    litert_signature *signature = &engine.signatures[at];
    for (size_t i = 0; i < signature->input_count; i++) {
        void *there = litert_locked(&engine, &signature->inputs[i], LITERT_WRITE);
        if (!there)
            return failed("%s", engine.why);
        memcpy(there, given[i].data, given[i].size);
        litert_unlocked(&engine, &signature->inputs[i]);
    }
    if (litert_ran(&engine, at))
        return failed("%s", engine.why);
    for (size_t i = 0; i < signature->output_count; i++) {
        litert_tensor *tensor = &signature->outputs[i];
        const void *there = litert_locked(&engine, tensor, LITERT_READ);
        if (!there)
            return failed("%s", engine.why);
        if (into) {
            add_number(into, tensor->bytes, 4);
            add(into, there, tensor->bytes);
        }
        litert_unlocked(&engine, tensor);
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
    litert_signature *signature = &engine.signatures[*at];
    if (field_count - field - 1 < signature->input_count)
        return failed("%zu inputs came, the signature has %zu", field_count - field - 1, signature->input_count);
    for (size_t i = 0; i < signature->input_count; i++) {
        struct slice given = fields[field + 1 + i];
        int element = signature->inputs[i].type.element;
        size_t width = litert_width(element);
        if (!signature->inputs[i].bytes || given.size != signature->inputs[i].bytes)
            return failed("input %zu has %zu bytes, %zu are wanted", i, given.size, signature->inputs[i].bytes);
        bool integers = element == LITERT_INT32 || element == LITERT_INT64;
        for (size_t j = width; integers && j <= given.size; j += width)
            if (given.data[j - 1] & 0x80)
                return failed("input %zu has a negative number at %zu", i, j / width - 1);
    }
    return litert_ready(&engine, *at) ? failed("%s", engine.why) : 0;
}

static int infer_once(void)
{
    size_t at = 0;
    struct bytes made = {NULL, 0, 0};
    int error = signature_at(0, &at);
    if (!error && field_count - 1 != engine.signatures[at].input_count)
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
        field += 1 + engine.signatures[at[feeds]].input_count;
    }
    if (!feeds || !plan.most_runs)
        return failed("nothing came to be measured");
    return measure(&plan, at, where, feeds);
}

/* Decoding */

struct tokens { int32_t *ids; size_t count; };

/* The tokens in a field, in memory of their own. */
static int tokens_at(size_t at, struct tokens *out)
{
    if (*no_decoder)
        return failed("%s", no_decoder);
    size_t bytes = at < field_count ? fields[at].size : 0;
    if (!bytes || bytes % sizeof *out->ids)
        return failed("no tokens came");
    out->count = bytes / sizeof *out->ids;
    out->ids = malloc(bytes);
    if (!out->ids)
        fatal("no memory is left");
    memcpy(out->ids, fields[at].data, bytes);
    for (size_t i = 0; i < out->count; i++)
        if (out->ids[i] < 0 || (size_t)out->ids[i] >= decoder.words)
            return failed("token %zu is %ld, the model has %zu", i, (long)out->ids[i], decoder.words);
    return 0;
}

/* The likeliest token, the first of equal ones; -1 where it is no number. */
static int32_t likeliest(const float *logits)
{
    size_t best = 0;
    for (size_t i = 1; i < decoder.words; i++)
        if (logits[i] > logits[best])
            best = i;
    return isfinite(logits[best]) ? (int32_t)best : -1;
}

/* Fields: how many tokens there are already, of how many logits are wanted, and the tokens: nanoseconds, and logits. */
static int read_tokens(void)
{
    uint64_t start = 0, kept = 0;
    struct tokens given = {NULL, 0};
    float *logits = NULL;
    int error = tokens_at(2, &given);
    if (!error && (!number_at(0, &start) || !number_at(1, &kept) || field_count != 3))
        error = failed("a number of tokens is missing");
    if (!error && (start > decoder.slots || given.count > decoder.slots - start))
        error = failed("%zu tokens came after %llu, the cache has room for %zu", given.count, (unsigned long long)start, decoder.slots);
    if (!error && (!kept || kept > given.count || kept > MOST_BYTES / 2 / sizeof *logits / decoder.words))
        error = failed("the logits of %llu tokens are none that can be sent", (unsigned long long)kept);
    if (!error && !(logits = malloc(kept * decoder.words * sizeof *logits)))
        fatal("no memory is left");
    uint64_t began = now_ns();
    if (!error && litert_read(&decoder, given.ids, given.count, start, logits, kept))
        error = failed("%s", engine.why);
    if (!error) {
        uint64_t took = now_ns() - began;
        begin(0);
        say_number(took);
        say(logits, kept * decoder.words * sizeof *logits);
    }
    free(logits);
    free(given.ids);
    return error;
}

struct written { struct bytes readings, steps, ids; };

/* Read a prompt so many times, each from an empty cache, then write so many tokens after the first, always the likeliest. */
static int write_tokens(const struct tokens *prompt, uint64_t readings, uint64_t count, struct written *out)
{
    float *logits = malloc(decoder.words * sizeof *logits);
    int32_t token = 0;
    int error = 0;
    if (!logits)
        fatal("no memory is left");
    for (uint64_t i = 0; !error && i < readings + count; i++) {
        bool reads = i < readings;
        uint64_t began = now_ns();
        error = reads ? litert_read(&decoder, prompt->ids, prompt->count, 0, logits, 1)
                      : litert_read(&decoder, &token, 1, prompt->count + (size_t)(i - readings), logits, 1);
        token = error ? 0 : likeliest(logits);
        add_number(reads ? &out->readings : &out->steps, now_ns() - began, 8);
        if (error)
            error = failed("%s", engine.why);
        else if (token < 0)
            error = failed("the logits after %llu tokens are not finite", (unsigned long long)(prompt->count + (reads ? 0 : i - readings + 1)));
        else if (i + 1 >= readings)
            add_number(&out->ids, (uint32_t)token, 4);
    }
    free(logits);
    return error;
}

/* Fields: how often the prompt is read, how many tokens are written after the first, and the prompt. The answer: nanoseconds of
 * each reading, of each token, the tokens, and the peak of memory. */
static int write_answer(void)
{
    uint64_t readings = 0, count = 0;
    struct tokens prompt = {NULL, 0};
    struct written made = {{NULL, 0, 0}, {NULL, 0, 0}, {NULL, 0, 0}};
    int error = tokens_at(2, &prompt);
    if (!error && (!number_at(0, &readings) || !number_at(1, &count) || field_count != 3 || !readings || readings > MOST_RUNS))
        error = failed("a number of readings is missing, or not from 1 to %d", MOST_RUNS);
    if (!error && (prompt.count > decoder.slots || count > decoder.slots - prompt.count))
        error = failed("%zu tokens and %llu after them are more than the cache has room for, %zu", prompt.count, (unsigned long long)count, decoder.slots);
    error = error ? error : write_tokens(&prompt, readings, count, &made);
    if (!error) {
        begin(0);
        say(made.readings.data, made.readings.size);
        say(made.steps.data, made.steps.size);
        say(made.ids.data, made.ids.size);
        say_number(peak_kib());
    }
    free(prompt.ids);
    free(made.readings.data);
    free(made.steps.data);
    free(made.ids.data);
    return error;
}

static void say_tensor(const litert_tensor *tensor)
{
    uint32_t scale;
    memcpy(&scale, &tensor->scale.scale, sizeof scale);
    say_text(tensor->name);
    say_number((uint64_t)tensor->type.element);
    say_number(scale);
    say_number((uint64_t)tensor->scale.zero_point);
    say(tensor->type.shape, tensor->type.rank * sizeof *tensor->type.shape);
}

static int tell(void)
{
    begin(0);
    say_number(load_ns);
    say_number(peak_kib());
    say_number(engine.count);
    for (size_t i = 0; i < engine.count; i++) {
        litert_signature *signature = &engine.signatures[i];
        say_text(signature->key);
        say_number(signature->input_count);
        say_number(signature->output_count);
        for (size_t j = 0; j < signature->input_count + signature->output_count; j++)
            say_tensor(&signature->inputs[j]); /* outputs lie behind them */
    }
    return 0;
}
