/* What libFuzzer asks of the C core, built of edgewright.c and ew_tokenizer.c: the first byte says whether the rest is a
 * text, sentences, JSON or a file. EW_FUZZ names a tokenizer.bin; beside it is a translator where EW_ENGINE names its engine, which
 * then has texts to translate, too. What it holds: no token lies outside the text, the way back keeps to its room, a stream gives
 * what decoding at once gives, a translation is the same whatever was translated before it, and nothing is read or written where it
 * must not. */
#include "edgewright.c"

#include <dirent.h>

static ew_tokenizer *known;
static ew_model *translates;
static char *engine, place[64], file[96], whole[80]; /* whole: a directory of what the translator's has but for model.txt */

int LLVMFuzzerInitialize(int *count, char ***words);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void link_files(const char *assets)
{
    char from[4096], to[4096];
    DIR *all = opendir(assets);
    snprintf(whole, sizeof whole, "%s.whole", place);
    mkdir(whole, 0700);
    for (struct dirent *one; all && (one = readdir(all));)
        if (*one->d_name != '.' && strcmp(one->d_name, "model.txt")) {
            snprintf(from, sizeof from, "%s/%s", assets, one->d_name), snprintf(to, sizeof to, "%s/%s", whole, one->d_name);
            if (symlink(from, to))
                abort();
        }
    closedir(all);
}

int LLVMFuzzerInitialize(int *count, char ***words)
{
    (void)count, (void)words;
    snprintf(place, sizeof place, "/dev/shm/ew_fuzz.%ld", (long)getpid());
    mkdir(place, 0700);
    char *of = getenv("EW_FUZZ"), *assets = strdup(of), why[EW_WHY];
    if (ew_tokenizer_open(&known, of))
        abort();
    *strrchr(assets, '/') = 0;
    if ((engine = getenv("EW_ENGINE"))) {
        if (ew_open(&translates, assets, &(ew_options){engine, 1, 0}, why))
            fprintf(stderr, "%s\n", why), abort();
        link_files(assets);
    }
    free(assets);
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

typedef struct {
    words all;
    size_t pieces, most; /* of them 0 for all */
} gathered;

static int gather_piece(void *user, const char *piece, size_t n)
{
    gathered *g = user;
    held(strlen(piece) == n && !gather(&g->all, piece, n));
    return ++g->pieces == g->most;
}

/* With so many beams; the model's own rules beside. */
static int translated(const char *text, unsigned beams, unsigned how, gathered *g)
{
    char asked[128];
    snprintf(asked, sizeof asked, "{\"num_beams\": %u, \"max_new_tokens\": %u, \"split\": %s}", beams, 1 + how % 12, how & 16 ? "true" : "false");
    ew_stats stats;
    int code = ew_translate(translates, text, asked, gather_piece, g, &stats);
    held(!code || code == EW_ARGUMENT || code == EW_NO_ROOM);
    held(!code || *stats.why);
    for (size_t i = 0; i < stats.tokens; i++)
        held(stats.ids[i] >= 0 && (size_t)stats.ids[i] < ew_vocabulary(known));
    return code;
}

/* The same again after another one, with more beams or fewer, that is left after a piece. */
static void translate(const char *text, unsigned how)
{
    gathered first = {{0}, 0, 0}, other = {{0}, 0, 1}, again = {{0}, 0, 0};
    unsigned beams = 1 + (how >> 5) % 6;
    int code = translated(text, beams, how, &first);
    translated(text, 1 + beams % 6, ~how, &other);
    held(translated(text, beams, how, &again) == code && first.all.n == again.all.n);
    held(!first.all.n || !memcmp(first.all.bytes, again.all.bytes, first.all.n));
    free(first.all.bytes), free(other.all.bytes), free(again.all.bytes);
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

/* A translator's model.txt beside its other files: what opens translates, or says why not. */
static void settings_of(const uint8_t *data, size_t n)
{
    snprintf(file, sizeof file, "%s/model.txt", whole);
    FILE *out = fopen(file, "wb");
    held(out && fwrite(data, 1, n, out) == n && !fclose(out));
    ew_model *model = NULL;
    ew_stats stats;
    char why[EW_WHY] = "";
    gathered all = {{0}, 0, 0};
    if (ew_open(&model, whole, &(ew_options){engine, 1, 0}, why))
        held(*why);
    else if (ew_translate(model, "Turn on the lights. No.", "{\"max_new_tokens\": 3, \"num_beams\": 2}", gather_piece, &all, &stats))
        held(*stats.why);
    free(all.all.bytes);
    ew_close(model);
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
        if (translates)
            settings_of(data + 2, n - 2);
        else
            file_of("model.txt", data + 2, n - 2);
        break;
    case 2:
        json_of(text);
        break;
    case 3:
        sentences_of(data + 2, n - 2, data[1]);
        break;
    case 4:
        if (translates && n < 300) { /* each token is a run of the engine */
            translate(text, data[1]);
            break;
        } /* fall through */
    default:
        text_of(data + 2, n - 2, data[1]);
    }
    free(text);
    return 0;
}
