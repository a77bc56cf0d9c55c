/* What libFuzzer asks of the C core, built of edgewright.c and ew_tokenizer.c: the first byte says whether the rest is a
 * text, sentences, JSON or a file. EW_FUZZ names a tokenizer.bin. What it holds: no token lies outside the text, the way back keeps
 * to its room, a stream gives what decoding at once gives, and nothing is read or written where it must not. */
#include "edgewright.c"

static ew_tokenizer *known;
static char place[64], file[96];

int LLVMFuzzerInitialize(int *count, char ***words);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerInitialize(int *count, char ***words)
{
    (void)count, (void)words;
    snprintf(place, sizeof place, "/dev/shm/ew_fuzz.%ld", (long)getpid());
    mkdir(place, 0700);
    if (ew_tokenizer_open(&known, getenv("EW_FUZZ")))
        abort();
    return 0;
}

static void held(int good)
{
    if (!good)
        abort();
}

static int gather(words *all, const char *from, size_t n) { return put_bytes(all, from, n); }

/* Ids, some of a text and some of chance, streamed and decoded at once. */
static void stream_ids(const int32_t *ids, size_t n)
{
    stream s;
    words all = {0}, whole = {0};
    size_t out;
    held(!stream_begin(&s, known, NULL, 0, NULL, 0));
    for (size_t i = 0; i <= n; i++) {
        held(!(i < n ? stream_push(&s, ids[i], &out) : stream_finish(&s, &out)));
        held(out <= s.held.n && !gather(&all, s.held.bytes ? s.held.bytes : "", out));
        stream_shown(&s, out);
    }
    held(!decode_ids(known, ids, n, &whole));
    held(all.n == whole.n && (!all.n || !memcmp(all.bytes, whole.bytes, all.n)));
    stream_free(&s);
    free(all.bytes), free(whole.bytes);
}

static void text_of(const uint8_t *data, size_t n, unsigned how)
{
    ew_encoding e = {0};
    char *copy = malloc(n + !n); /* of its own length, so that a byte too far is seen */
    memcpy(copy, data, n);
    size_t half = how & 64 ? n / 2 : n, characters = 0;
    ew_ways ways = {how & 1 ? 5 + how % 50 : 0, how >> 1 & 1, how >> 2 & 1, how >> 3 & 1, how >> 4 & 1};
    int code = ew_encode(known, &e, copy, half, how & 64 ? copy + half : NULL, n - half, &ways);
    held(!code || code == EW_NO_ROOM);
    for (size_t i = 0; i < half; characters++)
        ew_next_char(copy, half, &i);
    int32_t *ids = malloc((e.count + 1) * sizeof *ids);
    for (size_t i = 0; !code && i < e.count; i++) {
        ids[i] = e.tokens[i].id;
        held(ids[i] >= 0 && (size_t)ids[i] < ew_vocabulary(known) && e.tokens[i].start <= e.tokens[i].end);
        held(e.tokens[i].side || e.tokens[i].end <= characters);
        if (how & 32)
            ids[i] = (int32_t)((uint32_t)ids[i] * 2654435761u % (ew_vocabulary(known) + 3));
    }
    if (!code && !(how & 64))
        stream_ids(ids, e.count);
    free(ids), free(copy);
    ew_encoding_free(&e);
}

static void json_of(const char *text)
{
    settings s = {.how = {0, 1, 0, 1, 0, 0, 0, 0}};
    char why[EW_WHY];
    read_settings(text, &s, why);
    read_search(text, &(ways_to_translate){0}, why);
    for (size_t i = 0; i < MOST_STOPS; i++)
        free(s.stops[i].bytes);
    static const char *const refused = NULL;
    chat form = {refused, "<s>", "be\n", {"[", "(", "{", NULL}, {"]", ")", "}", NULL}, ">", 1, 0};
    for (int turns = 0; turns < 2; turns++) {
        rendered r = {{0}, NULL, 0, 0};
        form.in_turns = turns, form.trims = !turns;
        int code = render(known, &form, text, &r, why);
        for (size_t i = 0; !code && i < r.count; i++)
            held(r.literal[i] <= r.text.n && (!i || r.literal[i - 1] <= r.literal[i]));
        free(r.text.bytes), free(r.literal);
    }
}

/* Lines, their sentences and pieces of these: each begins where the last one ended, and nothing of the text is left. */
static void sentences_of(const uint8_t *data, size_t n, unsigned fits)
{
    alphabet l = {{0}, {0}};
    held(ranges_read(&l.letter, "41-5a,61-7a,c0-24f,4e00-9fff") && ranges_read(&l.lower, "61-7a,df-f6"));
    char *copy = malloc(n + !n); /* of its own length, so that a byte too far is seen */
    memcpy(copy, data, n);
    for (size_t at = 0, line, sentence, piece; at < n; at = line) {
        held((line = line_behind(copy, n, at)) > at && line <= n);
        for (sentence = at; at < line; at = sentence) {
            held((sentence = sentence_behind(&l, copy, line, at)) > at && sentence <= line);
            for (; at < sentence; at = piece)
                held((piece = piece_behind(copy, sentence, at, 1 + fits)) > at && piece <= sentence);
        }
    }
    free(copy), free(l.letter.ends), free(l.lower.ends);
}

static void file_of(const char *name, const uint8_t *data, size_t n)
{
    snprintf(file, sizeof file, "%s/%s", place, name);
    FILE *out = fopen(file, "wb");
    held(out && fwrite(data, 1, n, out) == n && !fclose(out));
    ew_model *model = NULL;
    ew_tokenizer *t = NULL;
    char why[EW_WHY];
    if (*name == 't')
        held(ew_tokenizer_open(&t, file) || t);
    else
        held(ew_open(&model, place, &(ew_options){"/nowhere.so", 1, 0}, why) && *why);
    ew_tokenizer_close(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 2 || n > 1 << 16)
        return 0;
    char *text = malloc(n - 1);
    memcpy(text, data + 2, n - 2);
    text[n - 2] = 0;
    switch (data[0] & 7) {
    case 0:
        file_of("tokenizer.bin", data + 2, n - 2);
        break;
    case 1:
        file_of("model.txt", data + 2, n - 2);
        break;
    case 2:
        json_of(text);
        break;
    case 3:
        sentences_of(data + 2, n - 2, data[1]);
        break;
    default:
        text_of(data + 2, n - 2, data[1]);
    }
    free(text);
    return 0;
}
