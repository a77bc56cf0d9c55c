/* A part of edgewright.c: a translator in LiteRT, as converters/_tflite/translator.py writes it: signatures that read a source, and
 * signatures of a step for one text and for several, all of some lengths. Keys and values of what is written lie in the engine's
 * buffers, of as many texts as a step takes for each of them; what a step adds to them comes out of it, and is put into its place. */
enum { LITERT_SINGLE, LITERT_SEVERAL, LITERT_STEPS };

typedef struct {
    size_t signature, length, beside; /* beside: buffers of `past` that were made */
    litert_tensor **cross, **past;    /* what the source's keys and values are, which go in or come out, and those of what is written */
    litert_tensor *kept;              /* `past` of each group of texts */
} litert_bucket;

typedef struct {
    litert *engine;
    litert_bucket *encodes, *steps[LITERT_STEPS]; /* the shortest first */
    size_t encode_count, step_count[LITERT_STEPS], arrays, heads, width, several, words, most;
    size_t tokens, beams, groups, length; /* of the source; texts that are written, and how far */
    const litert_bucket *source;            /* in whose buffers its keys and values are */
    litert_bucket *bound;                   /* what the steps run in; NULL before the first */
    float *moved;
    size_t moved_room;
} litert_translator;

static void litert_bucket_free(const litert_translator *t, litert_bucket *r)
{
    for (size_t i = 0; i < r->beside; i++)
        ((void (*)(void *))litert_found(t->engine, "LiteRtDestroyTensorBuffer"))(r->kept[i].buffer);
    free(r->kept);
    free(r->cross);
    free(r->past);
}

static void litert_translator_free(litert_translator *t)
{
    for (size_t i = 0; i < t->encode_count; i++)
        litert_bucket_free(t, &t->encodes[i]);
    for (int kind = 0; kind < LITERT_STEPS; kind++) {
        for (size_t i = 0; i < t->step_count[kind]; i++)
            litert_bucket_free(t, &t->steps[kind][i]);
        free(t->steps[kind]);
    }
    free(t->encodes);
    free(t->moved);
}

/* The tensors NAME_0, NAME_1 ... of a list, `count` of them; NULL where one is missing. */
static litert_tensor **litert_numbered(litert_tensor *all, size_t given, const char *name, size_t count)
{
    litert_tensor **found = malloc((count + 1) * sizeof *found);
    char one[32];
    for (size_t i = 0; found && i < count; i++) {
        snprintf(one, sizeof one, "%s_%zu", name, i);
        if (!(found[i] = litert_named(all, given, one)))
            return free(found), NULL;
    }
    return found;
}

static size_t litert_count_of(const litert_tensor *all, size_t given, const char *begin)
{
    size_t count = 0;
    for (size_t i = 0; i < given; i++)
        count += !strncmp(all[i].name, begin, strlen(begin));
    return count;
}

/* Whether keys and values have the shape (rows, heads, length, width), heads and width those of all others. */
static int litert_fits(litert_translator *t, litert_tensor *const *all, int32_t rows, size_t length)
{
    int good = 1;
    for (size_t i = 0; good && i < t->arrays; i++) {
        t->heads = t->heads ? t->heads : (size_t)all[i]->type.shape[1];
        t->width = t->width ? t->width : (size_t)all[i]->type.shape[3];
        good = litert_is(all[i], LITERT_FLOAT, 4, (int32_t[]){rows, (int32_t)t->heads, (int32_t)length, (int32_t)t->width});
    }
    return good;
}

static int litert_reads_source(litert_translator *t, litert_bucket *r)
{
    litert_signature *s = &t->engine->signatures[r->signature];
    litert_tensor *ids = litert_named(s->inputs, s->input_count, "input_ids");
    litert_tensor *mask = litert_named(s->inputs, s->input_count, "attention_mask");
    if (!litert_is(ids, LITERT_INT32, 2, (int32_t[]){1, -1}) || !litert_is(mask, LITERT_INT32, 2, ids->type.shape) || s->input_count != 2
        || s->output_count != t->arrays)
        return 0;
    r->length = (size_t)ids->type.shape[1];
    r->cross = litert_numbered(s->outputs, s->output_count, "cross", t->arrays);
    return r->cross && litert_fits(t, r->cross, 1, r->length);
}

static int litert_takes_step(litert_translator *t, int kind, litert_bucket *r)
{
    litert_signature *s = &t->engine->signatures[r->signature];
    litert_tensor *tokens = litert_named(s->inputs, s->input_count, "tokens"), *at = litert_named(s->inputs, s->input_count, "input_pos");
    litert_tensor *mask = litert_named(s->inputs, s->input_count, "attention_mask");
    litert_tensor *logits = litert_named(s->outputs, s->output_count, "logits"), *added = litert_named(s->outputs, s->output_count, "new_kv");
    if (!litert_is(tokens, LITERT_INT32, 2, (int32_t[]){-1, 1}) || !litert_is(mask, LITERT_INT32, 2, (int32_t[]){1, -1})
        || !litert_is(at, LITERT_INT32, 1, (int32_t[]){1}) || s->input_count != 3 + 2 * t->arrays || s->output_count != 2)
        return 0;
    int32_t rows = tokens->type.shape[0];
    t->several = kind == LITERT_SEVERAL && !t->several ? (size_t)rows : t->several;
    r->length = (size_t)mask->type.shape[1];
    r->cross = litert_numbered(s->inputs, s->input_count, "cross", t->arrays);
    r->past = litert_numbered(s->inputs, s->input_count, "kv_cache", t->arrays);
    if (!r->cross || !r->past || rows != (kind == LITERT_SINGLE ? 1 : (int32_t)t->several)
        || !litert_fits(t, r->cross, 1, r->length) || !litert_fits(t, r->past, rows, r->length)
        || !litert_is(logits, LITERT_FLOAT, 2, (int32_t[]){rows, t->words ? (int32_t)t->words : -1}))
        return 0;
    t->words = (size_t)logits->type.shape[1];
    return litert_is(added, LITERT_FLOAT, 4, (int32_t[]){(int32_t)t->arrays, rows, (int32_t)t->heads, (int32_t)t->width});
}

static int shorter_bucket(const void *a, const void *b)
{
    const litert_bucket *x = a, *y = b;
    return (x->length > y->length) - (x->length < y->length);
}

/* The signatures whose names begin so, as buckets, the shortest first. */
static int litert_buckets(litert_translator *t, const char *begin, int kind, litert_bucket **out, size_t *count)
{
    const litert *l = t->engine;
    *out = calloc(l->count, sizeof **out);
    for (size_t i = 0; *out && i < l->count; i++)
        if (!strncmp(l->signatures[i].key, begin, strlen(begin))) {
            litert_bucket *r = &(*out)[(*count)++];
            r->signature = i;
            if (!(kind < 0 ? litert_reads_source(t, r) : litert_takes_step(t, kind, r)))
                return 0;
        }
    if (*count)
        qsort(*out, *count, sizeof **out, shorter_bucket);
    return *count > 0;
}

/* What an opened file translates with; 0, or the engine's `why` says what went wrong. */
static int litert_translates(litert_translator *t, litert *l)
{
    size_t single, several;
    *t = (litert_translator){.engine = l};
    for (size_t i = 0; i < l->count && !t->arrays; i++)
        t->arrays = litert_count_of(l->signatures[i].inputs, l->signatures[i].input_count, "kv_cache_");
    int good = t->arrays && litert_buckets(t, "encode_", -1, &t->encodes, &t->encode_count)
        && litert_buckets(t, "decode_", LITERT_SINGLE, &t->steps[LITERT_SINGLE], &t->step_count[LITERT_SINGLE])
        && litert_buckets(t, "beams_", LITERT_SEVERAL, &t->steps[LITERT_SEVERAL], &t->step_count[LITERT_SEVERAL]);
    if (good) {
        single = t->steps[LITERT_SINGLE][t->step_count[LITERT_SINGLE] - 1].length;
        several = t->steps[LITERT_SEVERAL][t->step_count[LITERT_SEVERAL] - 1].length;
        t->most = t->encodes[t->encode_count - 1].length;
        good = single == t->most && several == t->most;
    }
    return good ? 0 : litert_refused(l, "the file is no translator's: encode, decode and beams of one length are wanted");
}

/* The shortest bucket that holds so many; NULL where there is none. */
static litert_bucket *litert_bucket_for(litert_bucket *all, size_t count, size_t length)
{
    for (size_t i = 0; i < count; i++)
        if (all[i].length >= length)
            return &all[i];
    return NULL;
}

static int litert_put(litert *l, litert_tensor *t, const int32_t *values, size_t n)
{
    int32_t *place = litert_locked(l, t, LITERT_WRITE);
    if (!place)
        return -1;
    memset(place, 0, t->bytes);
    memcpy(place, values, n * sizeof *place);
    return litert_unlocked(l, t), 0;
}

/* A source through the encoder, of which `beams` texts are then written; its keys and values stay where they come out. */
static int litert_begin(litert_translator *t, const int32_t *ids, size_t n, size_t beams)
{
    litert *l = t->engine;
    const litert_bucket *r = litert_bucket_for(t->encodes, t->encode_count, n);
    if (!r)
        return litert_refused(l, "a text is longer than the file has a signature for");
    litert_signature *s = &l->signatures[r->signature];
    int32_t *ones = malloc(n * sizeof *ones);
    for (size_t i = 0; ones && i < n; i++)
        ones[i] = 1;
    int bad = !ones ? litert_refused(l, "no memory is left") : litert_ready(l, r->signature);
    bad = bad || litert_put(l, litert_named(s->inputs, s->input_count, "input_ids"), ids, n)
        || litert_put(l, litert_named(s->inputs, s->input_count, "attention_mask"), ones, n) || litert_ran(l, r->signature);
    free(ones);
    t->source = r, t->tokens = n, t->beams = beams, t->length = 0, t->bound = NULL;
    t->groups = beams > 1 ? (beams + t->several - 1) / t->several : 1;
    return bad;
}

/* Buffers for what each group of texts has written; those of the first are the signature's own inputs. */
static int litert_past_ready(litert_translator *t, litert_bucket *r)
{
    litert *l = t->engine;
    litert_signature *s = &l->signatures[r->signature];
    size_t all = t->groups * t->arrays;
    if (all <= r->beside)
        return litert_ready(l, r->signature);
    litert_tensor *more = realloc(r->kept, all * sizeof *more);
    if (!more)
        return litert_refused(l, "no memory is left");
    for (r->kept = more; r->beside < all; r->beside++) {
        litert_tensor *input = r->past[r->beside % t->arrays], *one = &more[r->beside];
        void *wants = NULL, *place;
        *one = *input, one->buffer = NULL;
        size_t at = (size_t)(input - s->inputs);
        if (LITERT(l, LiteRtGetCompiledModelInputBufferRequirements, (void *, size_t, size_t, void **), l->compiled, r->signature, at, &wants))
            return -1;
        if (litert_room(l, wants, one) || !(place = litert_locked(l, one, LITERT_WRITE)))
            return r->beside += one->buffer != NULL, -1;
        memset(place, 0, one->bytes); /* what is not written is multiplied by 0 */
        litert_unlocked(l, one);
        if (r->beside < t->arrays)
            input->buffer = one->buffer, input->borrowed = 1;
    }
    return litert_ready(l, r->signature);
}

/* Rows of `used` numbers, `from` and `to` apart in two buffers; what is behind each row there is set to 0. */
static int litert_spread(litert *l, litert_tensor *from, litert_tensor *to, size_t rows, size_t used, size_t stride, size_t wider)
{
    const float *source = litert_locked(l, from, LITERT_READ);
    float *place = source ? litert_locked(l, to, LITERT_WRITE) : NULL;
    for (size_t i = 0; place && i < rows; i++) {
        memcpy(place + i * wider, source + i * stride, used * sizeof *place);
        memset(place + i * wider + used, 0, (wider - used) * sizeof *place);
    }
    if (source)
        litert_unlocked(l, from);
    if (place)
        litert_unlocked(l, to);
    return place ? 0 : -1;
}

/* Go on in a bucket that holds another step and the source, with what is written so far. */
static int litert_bind(litert_translator *t)
{
    litert *l = t->engine;
    int kind = t->beams > 1 ? LITERT_SEVERAL : LITERT_SINGLE;
    size_t least = t->length + 1 > t->tokens ? t->length + 1 : t->tokens, each = t->width;
    size_t rows = (kind == LITERT_SEVERAL ? t->several : 1) * t->heads;
    litert_bucket *r = litert_bucket_for(t->steps[kind], t->step_count[kind], least), *before = t->bound;
    if (before && t->length < before->length)
        return 0;
    if (!r)
        return litert_refused(l, "a translation is longer than the file has a signature for");
    if (litert_past_ready(t, r))
        return -1;
    litert_signature *s = &l->signatures[r->signature];
    int32_t *mask = malloc(t->tokens * sizeof *mask);
    for (size_t i = 0; mask && i < t->tokens; i++)
        mask[i] = 1;
    litert_tensor *seen = litert_named(s->inputs, s->input_count, "attention_mask");
    int bad = !mask ? litert_refused(l, "no memory is left") : litert_put(l, seen, mask, t->tokens);
    free(mask);
    for (size_t i = 0; !bad && i < t->arrays; i++)
        bad = litert_spread(l, t->source->cross[i], r->cross[i], t->heads, t->tokens * each, t->source->length * each, r->length * each);
    for (size_t i = 0; !bad && before && i < t->groups * t->arrays; i++)
        bad = litert_spread(l, &before->kept[i], &r->kept[i], rows, t->length * each, before->length * each, r->length * each);
    t->bound = r;
    return bad;
}

/* Put what a step added for the rows of a group into its place: (arrays, rows, heads, width) as it comes out. */
static int litert_add(litert_translator *t, litert_tensor *added, litert_tensor *kept, size_t rows)
{
    litert *l = t->engine;
    const float *one = litert_locked(l, added, LITERT_READ);
    int bad = !one;
    for (size_t i = 0; !bad && i < t->arrays; i++) {
        float *place = litert_locked(l, &kept[i], LITERT_CHANGE);
        bad = !place;
        for (size_t k = 0; place && k < rows * t->heads; k++, one += t->width)
            memcpy(place + (k * t->bound->length + t->length) * t->width, one, t->width * sizeof *place);
        if (place)
            litert_unlocked(l, &kept[i]);
    }
    if (one)
        litert_unlocked(l, added);
    return bad;
}

/* A step of the texts of a group: `ids` are of `used` of them, the others read token 0 and nobody them. */
static int litert_group_step(litert_translator *t, size_t group, const int32_t *ids, size_t used, float *out)
{
    litert *l = t->engine;
    litert_bucket *r = t->bound;
    litert_signature *s = &l->signatures[r->signature];
    litert_tensor *kept = r->kept + group * t->arrays, *logits = litert_named(s->outputs, s->output_count, "logits");
    int32_t at = (int32_t)t->length;
    if (litert_put(l, litert_named(s->inputs, s->input_count, "tokens"), ids, used)
        || litert_put(l, litert_named(s->inputs, s->input_count, "input_pos"), &at, 1))
        return -1;
    for (size_t i = 0; i < t->arrays; i++)
        s->given[r->past[i] - s->inputs] = kept[i].buffer;
    if (litert_ran(l, r->signature))
        return -1;
    const float *found = litert_locked(l, logits, LITERT_READ);
    if (!found)
        return -1;
    memcpy(out, found, used * t->words * sizeof *out);
    litert_unlocked(l, logits);
    return litert_add(t, litert_named(s->outputs, s->output_count, "new_kv"), kept, t->beams > 1 ? t->several : 1);
}

/* A token more of each text: the logits of what follows, (beams, words). */
static int litert_step_texts(litert_translator *t, const int32_t *ids, float *out)
{
    size_t rows = t->beams > 1 ? t->several : 1;
    if (litert_bind(t))
        return -1;
    for (size_t group = 0, at = 0; group < t->groups; group++, at += rows)
        if (litert_group_step(t, group, ids + at, t->beams - at < rows ? t->beams - at : rows, out + at * t->words))
            return -1;
    t->length++;
    return 0;
}

/* Let each text go on from what text `parents[text]` has written: all that move are put aside first. */
static int litert_reorder(litert_translator *t, const size_t *parents)
{
    litert *l = t->engine;
    litert_bucket *r = t->bound;
    size_t used = t->length * t->width, strip = t->heads * used, room = t->beams * strip;
    if (room > t->moved_room) {
        float *more = realloc(t->moved, room * sizeof *more);
        if (!more)
            return litert_refused(l, "no memory is left");
        t->moved = more, t->moved_room = room;
    }
    for (size_t i = 0; i < t->arrays; i++)
        for (int back = 0; back < 2; back++)
            for (size_t group = 0; group < t->groups; group++) {
                litert_tensor *kept = &r->kept[group * t->arrays + i];
                float *place = litert_locked(l, kept, back ? LITERT_CHANGE : LITERT_READ);
                if (!place)
                    return -1;
                for (size_t k = 0; k < t->beams * t->heads; k++) { /* of each text's heads what it goes on from */
                    size_t text = k / t->heads, head = k % t->heads, row = back ? text : parents[text];
                    float *own = place + ((row % t->several) * t->heads + head) * r->length * t->width;
                    float *aside = t->moved + text * strip + head * used;
                    if (parents[text] != text && row / t->several == group)
                        memcpy(back ? own : aside, back ? aside : own, used * sizeof *own);
                }
                litert_unlocked(l, kept);
            }
    return 0;
}
