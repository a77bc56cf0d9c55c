/* A part of ew_tokenizer.c: from tokens to a text. */
/* The way back */

const char *ew_token_text(const ew_tokenizer *t, int32_t id, size_t *bytes)
{
    if (id < 0 || (uint32_t)id >= t->ids || t->token_at[id] > t->token_at[id + 1] || t->token_at[id + 1] > t->bytes[TOKEN_BYTES])
        return *bytes = 0, "";
    *bytes = t->token_at[id + 1] - t->token_at[id];
    return (const char *)t->at[TOKEN_BYTES] + t->token_at[id];
}

int32_t ew_token_id(const ew_tokenizer *t, const char *text, size_t bytes)
{
    int32_t id = exactly(&t->vocabulary, (const uint8_t *)text, bytes);
    const uint32_t *added = (const uint32_t *)t->at[ADDED];
    for (size_t i = 0; id < 0 && i < (t->bytes[ADDED] - 8) / 8; i++) {
        size_t n;
        const char *one = ew_token_text(t, (int32_t)added[2 + 2 * i], &n);
        if (n == bytes && !memcmp(one, text, n))
            id = (int32_t)added[2 + 2 * i];
    }
    return id;
}

uint32_t ew_next_char(const char *chars, size_t bytes, size_t *at) { return decode_char((const uint8_t *)chars, bytes, at); }
int32_t ew_unknown_id(const ew_tokenizer *t) { return t->unknown; }
int ew_marks_pieces(const ew_tokenizer *t) { return t->prefix_bytes != 0; }
size_t ew_vocabulary(const ew_tokenizer *t) { return t->ids; }

size_t ew_special(const ew_tokenizer *t, int32_t *ids, size_t room)
{
    const uint32_t *added = (const uint32_t *)t->at[ADDED] + 2;
    size_t n = 0, all = t->bytes[ADDED] < 8 ? 0 : (t->bytes[ADDED] - 8) / 8;
    for (size_t i = 0; i < all; i++)
        if (added[2 * i + 1] & IS_SPECIAL) {
            if (n < room)
                ids[n] = (int32_t)added[2 * i];
            n++;
        }
    return n;
}

typedef struct {
    char *out;
    size_t n, room;
} text;

static void say(text *o, const void *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++, o->n++)
        if (o->n < o->room)
            o->out[o->n] = ((const char *)bytes)[i];
}

/* A piece of WordPiece behind others: with a space before it, or without its mark; `tidy` pulls up punctuation. */
static void say_piece(text *o, const ew_tokenizer *t, const uint32_t *op, const char *one, size_t n, int first)
{
    static const char *const pulled[] = {".", "?", "!", ",", "n't", "'m", "'s", "'ve", "'re"};
    const uint8_t *mark = t->at[STRINGS] + op[1];
    if (!first && n >= op[2] && !memcmp(one, mark, op[2])) {
        say(o, one + op[2], n - op[2]);
        return;
    }
    int close = first;
    for (size_t i = 0; !first && op[3] && i < sizeof pulled / sizeof *pulled; i++)
        close |= n >= strlen(pulled[i]) && !memcmp(one, pulled[i], strlen(pulled[i]));
    if (!close)
        say(o, " ", 1);
    say(o, one, n);
}

/* Bytes as UTF-8, U+FFFD for what is none. */
static void say_bytes(text *o, const uint8_t *bytes, size_t n)
{
    for (size_t at = 0; at < n;) {
        uint8_t out[4];
        uint32_t c = decode_char(bytes, n, &at);
        say(o, out, encode_char(c, out));
    }
}

/* The byte that a character of a byte-level vocabulary stands for, -1 for none. */
static int32_t byte_of(const ew_tokenizer *t, uint32_t c)
{
    return c < t->bytes[BYTE_IDS] / 4 - 512 ? t->byte_ids[512 + c] : -1;
}

/* Pieces one after another, each changed as the decoder says; bytes gather in `raw` until what follows is none. */
static size_t bytes_of_piece(const ew_tokenizer *t, const char *one, size_t n, uint8_t *raw)
{
    size_t count = 0;
    for (size_t at = 0; at < n;) {
        int32_t byte = byte_of(t, decode_char((const uint8_t *)one, n, &at));
        if (byte < 0) { /* a token that is no bytes, such as an added one: as it is */
            memcpy(raw, one, n);
            return n;
        }
        raw[count++] = (uint8_t)byte;
    }
    return count;
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* `<0xAB>` as its byte, -1 for any other piece. */
static int fallback_byte(const char *one, size_t n)
{
    return n == 6 && !memcmp(one, "<0x", 3) && one[5] == '>' && hex(one[3]) >= 0 && hex(one[4]) >= 0 ? hex(one[3]) * 16 + hex(one[4]) : -1;
}

/* Runs the steps of a decoder over one piece, in place: Replace. */
static size_t replaced(const ew_tokenizer *t, const uint32_t *step, char *one, size_t n)
{
    const char *from = (const char *)t->at[STRINGS] + step[1], *to = (const char *)t->at[STRINGS] + step[3];
    size_t out = 0;
    for (size_t i = 0; i < n;) {
        if (step[2] && i + step[2] <= n && !memcmp(one + i, from, step[2])) {
            memmove(one + out, to, step[4]); /* what replaces is no longer, which the exporter saw to */
            out += step[4], i += step[2];
        } else {
            one[out++] = one[i++];
        }
    }
    return out;
}

static size_t trim_of(const uint32_t *step, const char *one, size_t n, int from_end)
{
    size_t k = 0;
    while (k < n && k < step[from_end ? 3 : 2] && (uint8_t)one[from_end ? n - 1 - k : k] == step[1])
        k++;
    return k;
}

static void say_steps(text *o, const ew_tokenizer *t, const char *const *pieces, const size_t *bytes, size_t count)
{
    const uint32_t *steps = (const uint32_t *)t->at[DECODER] + 1;
    text whole = {NULL, 0, 0};
    uint8_t *raw = NULL;
    size_t total = 0, made = 0, held = 0;
    int fused = 0;
    for (size_t i = 0; i < count; i++)
        total += bytes[i];
    raw = malloc(total + 1);
    whole.out = malloc(3 * total + 1);
    whole.room = 3 * total + 1;
    for (size_t i = 0; raw && whole.out && i <= count; i++) {
        int falls = 0, byte = i < count ? fallback_byte(pieces[i], bytes[i]) : -1;
        for (const uint32_t *step = steps; *step; step += *step == 1 ? 5 : *step == 4 ? 4 : 1)
            falls |= *step == 2;
        if (falls && byte >= 0) {
            raw[held++] = (uint8_t)byte;
            continue;
        }
        if (held) { /* bytes that are no text are U+FFFD, one for each */
            int good = 1;
            for (size_t at = 0; at < held;) {
                size_t was = at;
                good &= decode_char(raw, held, &at) != 0xFFFD || (at - was == 3 && raw[was] == 0xEF && raw[was + 1] == 0xBF && raw[was + 2] == 0xBD);
            }
            if (good)
                say(&whole, raw, held);
            for (size_t k = 0; !good && k < held; k++)
                say(&whole, "\xEF\xBF\xBD", 3);
            held = 0;
        }
        if (i == count)
            break;
        char *one = (char *)raw;
        size_t n = bytes[i], skip = 0;
        memcpy(one, pieces[i], n);
        fused = 0;
        for (const uint32_t *step = steps; *step; step += *step == 1 ? 5 : *step == 4 ? 4 : 1) {
            fused |= *step == 3;
            if (*step == 1 && !fused)
                n = replaced(t, step, one, n);
            if (*step == 4 && !fused) {
                skip = trim_of(step, one, n, 0);
                memmove(one, one + skip, n -= skip);
                n -= trim_of(step, one, n, 1);
            }
        }
        say(&whole, one, n);
    }
    made = whole.out ? (whole.n < whole.room ? whole.n : whole.room) : 0;
    fused = 0;
    size_t skip = 0;
    for (const uint32_t *step = steps; *step; step += *step == 1 ? 5 : *step == 4 ? 4 : 1) {
        fused |= *step == 3;
        if (*step == 4 && fused) {
            size_t more = trim_of(step, whole.out + skip, made - skip, 0);
            skip += more;
            made -= trim_of(step, whole.out + skip, made - skip, 1);
        }
    }
    if (whole.out)
        say(o, whole.out + skip, made - skip);
    free(whole.out);
    free(raw);
}

size_t ew_joined(const ew_tokenizer *t, const char *const *pieces, const size_t *bytes, size_t count, char *out, size_t room)
{
    const uint32_t *op = (const uint32_t *)t->at[DECODER];
    text o = {out, 0, room};
    uint8_t *raw = NULL;
    size_t total = 0, n = 0;
    for (size_t i = 0; i < count; i++)
        total += bytes[i];
    if (op[0] == 2 && !(raw = malloc(total + 1)))
        return 0;
    for (size_t i = 0; op[0] != 4 && i < count; i++) {
        if (op[0] == 1) {
            say_piece(&o, t, op, pieces[i], bytes[i], i == 0);
        } else if (op[0] == 2) {
            n += bytes_of_piece(t, pieces[i], bytes[i], raw + n);
        } else if (op[0] == 3) {
            for (size_t at = 0; at < bytes[i];) {
                uint8_t one[4];
                uint32_t c = decode_char((const uint8_t *)pieces[i], bytes[i], &at);
                if (c != op[1])
                    say(&o, one, encode_char(c, one));
                else if (i || !op[2]) /* of the first token all go */
                    say(&o, " ", 1);
            }
        } else {
            if (i)
                say(&o, " ", 1);
            say(&o, pieces[i], bytes[i]);
        }
    }
    if (op[0] == 4)
        say_steps(&o, t, pieces, bytes, count);
    if (raw)
        say_bytes(&o, raw, n);
    free(raw);
    return o.n;
}

size_t ew_decode(const ew_tokenizer *t, const int32_t *ids, size_t count, int skip_special, char *out, size_t room)
{
    const char **pieces = malloc((count + 1) * sizeof *pieces);
    size_t *bytes = malloc((count + 1) * sizeof *bytes), n = 0;
    for (size_t i = 0; pieces && bytes && i < count; i++) {
        uint32_t flags = ids[i] >= 0 && (uint32_t)ids[i] < t->ids ? t->token_flags[ids[i]] : 0;
        if (!(flags & KNOWN) || (skip_special && flags & SPECIAL))
            continue;
        pieces[n] = ew_token_text(t, ids[i], &bytes[n]);
        n++;
    }
    n = pieces && bytes ? ew_joined(t, pieces, bytes, n, out, room) : 0;
    free(pieces);
    free(bytes);
    return n;
}
