/* A part of edgewright.c: tokens to text as they come, by the rules of edgewright.generation.text_stream: whole characters,
 * and together what decoding all tokens at once gives. What may still change is held back, and so is the beginning of a
 * stop string. */
enum { STREAM_CONTEXT = 8 }; /* tokens before the text that are decoded with it: a word and its neighbours */

typedef struct {
    const ew_tokenizer *t;
    int32_t *ids; /* those that are decoded together */
    size_t n, room, told; /* of which so many have given their text, which is `shown` */
    words shown, text, held;
    const words *stops;
    size_t stop_count;
    int stopped;
} stream;

static void stream_free(stream *s)
{
    free(s->ids);
    free(s->shown.bytes);
    free(s->text.bytes);
    free(s->held.bytes);
    memset(s, 0, sizeof *s);
}

/* A token of one byte, as sentencepiece names it: a run of them is decoded as one. */
static int is_byte(const ew_tokenizer *t, int32_t id)
{
    size_t n;
    const char *name = ew_token_text(t, id, &n), *hex = "0123456789abcdefABCDEF";
    return n == 6 && !memcmp(name, "<0x", 3) && name[5] == '>' && name[3] && strchr(hex, name[3]) && name[4] && strchr(hex, name[4]);
}

static int decode_ids(const ew_tokenizer *t, const int32_t *ids, size_t n, words *out)
{
    out->n = 0;
    int code = put_bytes(out, "", 0);
    size_t bytes = code ? 0 : ew_decode(t, ids, n, 1, out->bytes, out->room - 1);
    while (!code && bytes > out->room - 1) {
        free(out->bytes);
        out->room = bytes + 1;
        if (!(out->bytes = malloc(out->room)))
            return out->room = 0, EW_MEMORY;
        bytes = ew_decode(t, ids, n, 1, out->bytes, bytes);
    }
    if (!code)
        out->bytes[out->n = bytes] = 0;
    return code;
}

static int ends_unknown(const words *w) { return w->n >= 3 && !memcmp(w->bytes + w->n - 3, "\xEF\xBF\xBD", 3); }

/* `after` are the tokens of what the text follows: a word that begins it keeps its space. The last of them are decoded with it that
 * end with a whole character, and not with a byte, with which more of them would be one run. */
static int stream_begin(stream *s, const ew_tokenizer *t, const int32_t *after, size_t n, const words *stops, size_t stop_count)
{
    memset(s, 0, sizeof *s);
    s->t = t, s->stops = stops, s->stop_count = stop_count;
    s->room = 4 * STREAM_CONTEXT;
    int code = (s->ids = malloc(s->room * sizeof *s->ids)) ? put_bytes(&s->shown, "", 0) : EW_MEMORY;
    for (; !code && n; n--) {
        size_t kept = n < STREAM_CONTEXT ? n : STREAM_CONTEXT;
        if (is_byte(t, after[n - 1]))
            continue;
        code = decode_ids(t, after + n - kept, kept, &s->shown);
        if (!code && !ends_unknown(&s->shown)) {
            memcpy(s->ids, after + n - kept, kept * sizeof *s->ids);
            s->n = s->told = kept;
            return EW_OK;
        }
    }
    s->shown.n = 0;
    return code;
}

/* What of the text was not shown yet: as many characters are left out as were shown. */
static size_t unshown(const stream *s)
{
    size_t at = 0, was = 0;
    while (was < s->shown.n && at < s->text.n) {
        ew_next_char(s->shown.bytes, s->shown.n, &was);
        ew_next_char(s->text.bytes, s->text.n, &at);
    }
    return at;
}

/* Keep as context only the tokens since the last ones that gave text. */
static int stream_forget(stream *s)
{
    size_t start = s->told;
    s->told = s->n;
    words swapped = s->shown;
    s->shown = s->text, s->text = swapped;
    int code = start ? decode_ids(s->t, s->ids + start, s->n - start, &s->text) : EW_OK;
    if (!code && start && s->text.n) {
        memmove(s->ids, s->ids + start, (s->n - start) * sizeof *s->ids);
        s->n = s->told = s->n - start;
        swapped = s->shown;
        s->shown = s->text, s->text = swapped;
    }
    return code;
}

static size_t found_at(const words *in, const words *what)
{
    for (size_t at = 0; at + what->n <= in->n; at++)
        if (!memcmp(in->bytes + at, what->bytes, what->n))
            return at;
    return in->n + 1;
}

/* What of the held text may go out now: its first bytes, so many. */
static size_t without_stop(stream *s, int last)
{
    size_t first = s->held.n + 1, begun = 0;
    for (size_t i = 0; i < s->stop_count; i++) {
        size_t at = s->stops[i].n ? found_at(&s->held, &s->stops[i]) : s->held.n + 1;
        first = at < first ? at : first;
    }
    if (first <= s->held.n)
        return s->stopped = 1, first;
    for (size_t i = 0; !last && i < s->stop_count; i++)
        for (size_t size = begun + 1; size < s->stops[i].n && size <= s->held.n; size++)
            if (!memcmp(s->held.bytes + s->held.n - size, s->stops[i].bytes, size))
                begun = size;
    return s->held.n - begun;
}

/* One more token: `*out` bytes of `held` may be shown, of which stream_shown is told. */
static int stream_push(stream *s, int32_t token, size_t *out)
{
    *out = 0;
    if (s->n == s->room) {
        int32_t *more = realloc(s->ids, 2 * s->room * sizeof *more);
        if (!more)
            return EW_MEMORY;
        s->ids = more, s->room *= 2;
    }
    s->ids[s->n++] = token;
    if (is_byte(s->t, token) || !ew_decode(s->t, &token, 1, 1, NULL, 0))
        return EW_OK; /* a special token ends no run of bytes: it is left out, and they are decoded as one */
    int code = decode_ids(s->t, s->ids, s->n, &s->text);
    if (code || ends_unknown(&s->text))
        return code;
    size_t at = unshown(s);
    if ((code = put_bytes(&s->held, s->text.bytes + at, s->text.n - at)) || (code = stream_forget(s)))
        return code;
    *out = without_stop(s, 0);
    return EW_OK;
}

static int stream_finish(stream *s, size_t *out)
{
    int code = EW_OK;
    *out = 0;
    if (s->stopped)
        return EW_OK;
    if (s->told < s->n) {
        if ((code = decode_ids(s->t, s->ids, s->n, &s->text)))
            return code;
        size_t at = unshown(s);
        code = put_bytes(&s->held, s->text.bytes + at, s->text.n - at);
    }
    s->told = s->n;
    *out = without_stop(s, 1);
    return code;
}

static void stream_shown(stream *s, size_t n)
{
    if (n)
        memmove(s->held.bytes, s->held.bytes + n, s->held.n - n);
    s->held.n -= n;
}
