/* A decoder in LiteRT, as converters/_tflite/decoder.py writes it: a signature for one token and one for a chunk of them, over one
 * buffer for each cache of keys or values, into which the engine writes in place. A part of edgewright.c and of devices/run.c. */
enum { ONE_TOKEN, MANY_TOKENS, LITERT_KINDS };

typedef struct {
    litert *engine;
    struct {
        size_t signature, length; /* the tokens that it reads */
        litert_tensor *tokens, *places, *logits;
    } kinds[LITERT_KINDS];
    size_t slots, words; /* tokens that the cache has room for, and those of the vocabulary */
} litert_decoder;

static litert_tensor *litert_named(litert_tensor *all, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(all[i].name, name))
            return &all[i];
    return NULL;
}

static int is_cache_of(const litert_tensor *t) { return !strncmp(t->name, "kv_cache_", 9); }

/* Whether a tensor is of such a type and shape, of which -1 is any length. */
static int litert_is(const litert_tensor *t, int element, unsigned rank, const int32_t *shape)
{
    int same = t && t->type.element == element && t->type.rank == rank && t->bytes;
    for (unsigned i = 0; same && i < rank; i++)
        same = shape[i] < 0 || shape[i] == t->type.shape[i];
    return same;
}

/* A signature's own tensors, and that its other ones are caches which go in and come out. */
static int litert_kind(litert_decoder *d, int kind, size_t at)
{
    litert_signature *s = &d->engine->signatures[at];
    litert_tensor *tokens = litert_named(s->inputs, s->input_count, "tokens"), *places = litert_named(s->inputs, s->input_count, "input_pos");
    litert_tensor *logits = litert_named(s->outputs, s->output_count, "logits");
    if (!litert_is(tokens, LITERT_INT32, 2, (int32_t[]){1, -1}) || !litert_is(places, LITERT_INT32, 1, &tokens->type.shape[1])
        || !litert_is(logits, LITERT_FLOAT, 3, (int32_t[]){1, tokens->type.shape[1], -1}) || s->input_count < 3 || s->input_count != s->output_count + 1)
        return -1;
    d->kinds[kind].signature = at, d->kinds[kind].length = (size_t)tokens->type.shape[1];
    d->kinds[kind].tokens = tokens, d->kinds[kind].places = places, d->kinds[kind].logits = logits;
    for (size_t i = 0; i < s->input_count; i++) {
        litert_tensor *t = &s->inputs[i], *made = litert_named(s->outputs, s->output_count, t->name);
        const int32_t one[] = {1, -1, d->slots ? (int32_t)d->slots : -1, -1};
        if (t == tokens || t == places)
            continue;
        if (!is_cache_of(t) || !litert_is(t, LITERT_FLOAT, 4, one) || !litert_is(made, LITERT_FLOAT, 4, t->type.shape))
            return -1;
        d->slots = (size_t)t->type.shape[2];
    }
    return 0;
}

/* Every cache of the other signature, and all that come out, in the buffers that go into this one; all of it zeros, since what is
 * not written is multiplied by 0. */
static int litert_one_cache(litert_decoder *d)
{
    litert *l = d->engine;
    litert_signature *one = &l->signatures[d->kinds[ONE_TOKEN].signature], *many = &l->signatures[d->kinds[MANY_TOKENS].signature];
    for (size_t i = 0; i < one->input_count; i++) {
        litert_tensor *t = &one->inputs[i];
        litert_tensor *others[] = {litert_named(one->outputs, one->output_count, t->name), litert_named(many->inputs, many->input_count, t->name),
                                   litert_named(many->outputs, many->output_count, t->name)};
        void *wants = NULL, *place;
        if (!is_cache_of(t))
            continue;
        if (LITERT(l, LiteRtGetCompiledModelInputBufferRequirements, (void *, size_t, size_t, void **), l->compiled, d->kinds[ONE_TOKEN].signature, i, &wants)
            || litert_room(l, wants, t) || !(place = litert_locked(l, t, LITERT_WRITE)))
            return -1;
        memset(place, 0, t->bytes);
        litert_unlocked(l, t);
        for (size_t k = 0; k < 3; k++) {
            if (!litert_is(others[k], LITERT_FLOAT, 4, t->type.shape))
                return litert_refused(l, "its signatures have other caches");
            others[k]->buffer = t->buffer, others[k]->borrowed = 1;
        }
    }
    return 0;
}

/* What an opened file decodes with; 0, or the engine's `why` says what went wrong. */
static int litert_decodes(litert_decoder *d, litert *l)
{
    int found[LITERT_KINDS] = {0};
    *d = (litert_decoder){.engine = l};
    for (size_t i = 0; i < l->count; i++) {
        int kind = !strcmp(l->signatures[i].key, "decode") ? ONE_TOKEN : !strncmp(l->signatures[i].key, "prefill_", 8) ? MANY_TOKENS : LITERT_KINDS;
        if (kind == LITERT_KINDS || found[kind]++ || litert_kind(d, kind, i))
            return litert_refused(l, "the file is no decoder's: decode and one prefill with a cache are wanted");
    }
    if (!found[ONE_TOKEN] || !found[MANY_TOKENS] || d->kinds[ONE_TOKEN].length != 1
        || d->kinds[ONE_TOKEN].logits->type.shape[2] != d->kinds[MANY_TOKENS].logits->type.shape[2])
        return litert_refused(l, "the file is no decoder's: decode and one prefill with a cache are wanted");
    if (l->signatures[d->kinds[ONE_TOKEN].signature].input_count != l->signatures[d->kinds[MANY_TOKENS].signature].input_count)
        return litert_refused(l, "its signatures have other caches");
    d->words = (size_t)d->kinds[ONE_TOKEN].logits->type.shape[2];
    return litert_one_cache(d) || litert_ready(l, d->kinds[ONE_TOKEN].signature) || litert_ready(l, d->kinds[MANY_TOKENS].signature);
}

/* One run: `n` tokens, and zeros behind them, which are written over before they are seen. The last `kept` rows go to `out`. */
static int litert_step(litert_decoder *d, int kind, const int32_t *ids, size_t n, size_t start, float *out, size_t kept)
{
    litert *l = d->engine;
    size_t length = d->kinds[kind].length;
    int32_t *tokens = litert_locked(l, d->kinds[kind].tokens, LITERT_WRITE), *places = tokens ? litert_locked(l, d->kinds[kind].places, LITERT_WRITE) : NULL;
    for (size_t i = 0; places && i < length; i++)
        tokens[i] = i < n ? ids[i] : 0, places[i] = (int32_t)(start + i);
    if (tokens)
        litert_unlocked(l, d->kinds[kind].tokens);
    if (places)
        litert_unlocked(l, d->kinds[kind].places);
    if (!places || litert_ran(l, d->kinds[kind].signature))
        return -1;
    const float *logits = kept ? litert_locked(l, d->kinds[kind].logits, LITERT_READ) : NULL;
    if (logits) {
        memcpy(out, logits + (n - kept) * d->words, kept * d->words * sizeof *out);
        litert_unlocked(l, d->kinds[kind].logits);
    }
    return kept && !logits ? -1 : 0;
}

/* Read tokens after `start` others: the logits after the last `kept` of them. Their places must be in the cache. */
static int litert_read(litert_decoder *d, const int32_t *ids, size_t n, size_t start, float *out, size_t kept)
{
    size_t chunk = d->kinds[MANY_TOKENS].length;
    for (size_t at = 0, count; at < n; at += count) {
        size_t left = n - at;
        int kind = left > 1 && start + at + chunk <= d->slots ? MANY_TOKENS : ONE_TOKEN; /* one that reached over the end would be moved back over what is there */
        count = kind == ONE_TOKEN ? 1 : left < chunk ? left : chunk;
        size_t after = left - count, rows = kept <= after ? 0 : kept - after < count ? kept - after : count;
        if (litert_step(d, kind, ids + at, count, start + at, out, rows))
            return -1;
        out += rows * d->words;
    }
    return 0;
}
