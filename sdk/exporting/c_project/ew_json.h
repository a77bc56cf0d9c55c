/* A part of edgewright.c: what of JSON settings and messages are made of, read where it stands. */
enum { MOST_JSON_DEPTH = 32, MOST_JSON_BYTES = 4 << 20 };
/* A choice: nothing nests deeper; and four times the largest text, which is what a conversation may have. */

typedef struct {
    char *bytes; /* ended by a NUL that is not counted */
    size_t n, room;
} words;

typedef struct {
    const char *at, *begin;
    int code; /* what went wrong, of which the first counts */
} json;

static int put_bytes(words *w, const char *bytes, size_t n)
{
    if (w->n + n + 1 > w->room) {
        size_t room = 2 * (w->n + n) + 64;
        char *more = realloc(w->bytes, room);
        if (!more)
            return EW_MEMORY;
        w->bytes = more, w->room = room;
    }
    if (n)
        memcpy(w->bytes + w->n, bytes, n);
    w->n += n;
    w->bytes[w->n] = 0;
    return EW_OK;
}

static void json_fail(json *j, int code) { j->code = j->code ? j->code : code; }

static char json_look(json *j)
{
    while (!j->code && (*j->at == ' ' || *j->at == '\t' || *j->at == '\n' || *j->at == '\r'))
        j->at++;
    return j->code ? 0 : *j->at;
}

/* Whether `c` comes next, which is then read. */
static int json_is(json *j, char c)
{
    int found = json_look(j) == c;
    j->at += found;
    return found;
}

static void json_want(json *j, char c)
{
    if (!json_is(j, c))
        json_fail(j, EW_ARGUMENT);
}

static int json_word(json *j, const char *word)
{
    size_t n = strlen(word);
    int found = json_look(j) && !strncmp(j->at, word, n);
    j->at += found ? n : 0;
    return found;
}

static uint32_t json_hex(json *j)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        char c = *j->at;
        int digit = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
        if (digit < 0)
            return json_fail(j, EW_ARGUMENT), 0;
        value = value << 4 | (uint32_t)digit;
        j->at++;
    }
    return value;
}

/* \uXXXX, two of them where they are a pair; half of one is U+FFFD. */
static void json_escaped(json *j, words *out)
{
    uint32_t c = json_hex(j), low = 0;
    if (c >> 10 == 0x36 && j->at[0] == '\\' && j->at[1] == 'u') {
        const char *back = j->at;
        j->at += 2;
        low = json_hex(j);
        if (low >> 10 == 0x37)
            c = 0x10000 + ((c & 0x3FF) << 10) + (low & 0x3FF);
        else
            j->at = back;
    }
    c = c >> 11 == 0x1B ? 0xFFFD : c;
    char bytes[4];
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, c >>= 6)
        bytes[i] = (char)(0x80 | (c & 63));
    bytes[0] = (char)(n == 1 ? c : (0xF00u >> n & 0xF0u) | c);
    json_fail(j, put_bytes(out, bytes, n));
}

/* A text, which replaces what `out` has. */
static void json_text(json *j, words *out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    out->n = 0;
    json_fail(j, put_bytes(out, "", 0));
    json_want(j, '"');
    while (!j->code && *j->at != '"') {
        const char *plain = j->at, *known;
        while ((unsigned char)*j->at >= 32 && *j->at != '"' && *j->at != '\\')
            j->at++;
        json_fail(j, put_bytes(out, plain, (size_t)(j->at - plain)));
        if (*j->at == '"')
            break;
        if (*j->at++ != '\\') { /* the end, or a control character */
            j->at--;
            json_fail(j, EW_ARGUMENT);
        } else if (*j->at == 'u') {
            j->at++;
            json_escaped(j, out);
        } else if (*j->at && (known = strchr(from, *j->at))) {
            json_fail(j, put_bytes(out, &to[known - from], 1));
            j->at++;
        } else {
            json_fail(j, EW_ARGUMENT);
        }
    }
    if (!j->code)
        j->at++;
}

static size_t digits(const char **at)
{
    const char *from = *at;
    while (**at >= '0' && **at <= '9')
        ++*at;
    return (size_t)(*at - from);
}

/* A number, whatever the program's locale writes between its digits. */
static double json_number(json *j)
{
    char copy[64];
    json_look(j);
    const char *from = j->at, *at = from, *point = localeconv()->decimal_point;
    at += *at == '-';
    int good = *at == '0' ? (at++, 1) : digits(&at) > 0;
    const char *dot = *at == '.' ? at++ : NULL;
    good &= !dot || digits(&at) > 0;
    if (*at == 'e' || *at == 'E') {
        at++;
        at += *at == '-' || *at == '+';
        good &= digits(&at) > 0;
    }
    if (!good || at - from + strlen(point) >= sizeof copy)
        return json_fail(j, EW_ARGUMENT), 0;
    size_t whole = (size_t)((dot ? dot : at) - from), n = whole;
    memcpy(copy, from, whole);
    if (dot) {
        memcpy(copy + n, point, strlen(point));
        n += strlen(point);
        memcpy(copy + n, dot + 1, (size_t)(at - dot - 1));
        n += (size_t)(at - dot - 1);
    }
    copy[n] = 0;
    j->at = at;
    return strtod(copy, NULL);
}

/* Any value, passed over. */
static void json_skip(json *j, words *scratch, int depth)
{
    char c = json_look(j), close = c == '{' ? '}' : ']';
    if (depth > MOST_JSON_DEPTH) {
        json_fail(j, EW_ARGUMENT);
    } else if (c == '"') {
        json_text(j, scratch);
    } else if (c == '{' || c == '[') {
        j->at++;
        for (int more = !json_is(j, close); more && !j->code; more = json_is(j, ',')) {
            if (c == '{') {
                json_text(j, scratch);
                json_want(j, ':');
            }
            json_skip(j, scratch, depth + 1);
            if (json_look(j) != ',') {
                json_want(j, close);
                break;
            }
        }
    } else if (!json_word(j, "true") && !json_word(j, "false") && !json_word(j, "null")) {
        json_number(j);
    }
}
