/* A part of edgewright.c: a conversation to token ids. What stands around each message was found, and held against the
 * model's own template, when the project was made. A person's words are characters: a special token that is written in
 * them is never taken for one. */
enum { ROLES = 4, MOST_CHAT_BYTES = 1 << 22 }; /* of one conversation as text: what Python renders at most */

static const char *const roles[ROLES] = {"system", "user", "assistant", "tool"};

typedef struct {
    const char *refused;        /* why there is no chat, NULL where there is one */
    const char *begin, *unsaid; /* before a first message of the system's, before any other */
    const char *before[ROLES], *after[ROLES];
    const char *answer; /* what begins the assistant's */
    int trims, in_turns;
} chat;

typedef struct {
    words text;
    size_t *literal; /* pairs: where a special token that somebody wrote begins and ends */
    size_t count, room;
} rendered;

static int chat_takes(chat *c, const char *key, char *value)
{
    const struct {
        const char *key, **to;
    } texts[] = {{"chat_refused", &c->refused}, {"chat_begin", &c->begin}, {"chat_unsaid", &c->unsaid}, {"chat_answer", &c->answer}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (!strcmp(key, texts[i].key))
            return *texts[i].to = plain(value), 1;
    for (int i = 0; i < ROLES; i++)
        for (int after = 0; after < 2; after++)
            if (!strncmp(key, after ? "chat_after_" : "chat_before_", after ? 11 : 12) && !strcmp(key + (after ? 11 : 12), roles[i]))
                return *(after ? &c->after[i] : &c->before[i]) = plain(value), 1;
    int *flag = !strcmp(key, "chat_trims") ? &c->trims : !strcmp(key, "chat_in_turns") ? &c->in_turns : NULL;
    return flag ? *flag = *value == '1', 1 : 0;
}

/* Without the white space around it, by Python's own list. */
static void stripped(const char **text, size_t *n)
{
    size_t first = *n, last = 0;
    for (size_t at = 0; at < *n;) {
        size_t from = at;
        uint32_t c = ew_next_char(*text, *n, &at);
        int space = (c >= 9 && c <= 13) || (c >= 28 && c <= 32) || c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A)
            || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
        if (!space) {
            first = first < from ? first : from;
            last = at;
        }
    }
    *text += first < last ? first : 0;
    *n = first < last ? last - first : 0;
}

static size_t letters(const char *text, size_t n)
{
    size_t count = 0;
    for (size_t at = 0; at < n; count++)
        ew_next_char(text, n, &at);
    return count;
}

typedef struct {
    const char *text;
    size_t n, letters;
} special;

static int longer(const void *a, const void *b)
{
    const special *x = a, *y = b;
    return x->letters > y->letters ? -1 : x->letters < y->letters;
}

/* Where special tokens are written in the text's last `n` bytes, the longest first; no two overlap. */
static int find_special(const ew_tokenizer *t, rendered *r, size_t n)
{
    size_t count = 0, known = ew_special(t, NULL, 0), from = r->text.n - n;
    special *all = malloc((known + 1) * sizeof *all);
    int32_t *ids = malloc((known + 1) * sizeof *ids);
    char *taken = calloc(n + 1, 1);
    int code = all && ids && taken ? EW_OK : EW_MEMORY;
    if (!code)
        ew_special(t, ids, known);
    for (size_t i = 0; !code && i < known; i++) {
        special *one = &all[count];
        one->text = ew_token_text(t, ids[i], &one->n);
        one->letters = letters(one->text, one->n);
        count += one->n > 0;
    }
    if (!code)
        qsort(all, count, sizeof *all, longer);
    const char *text = r->text.bytes + from;
    for (size_t i = 0; !code && i < count; i++)
        for (size_t at = 0; at + all[i].n <= n;) {
            const char *next = memchr(text + at, all[i].text[0], n - all[i].n + 1 - at);
            if (!next)
                break;
            at = (size_t)(next - text);
            if (memcmp(next, all[i].text, all[i].n) || memchr(taken + at, 1, all[i].n) || memchr(taken + at, 2, all[i].n)) {
                at++;
                continue;
            }
            memset(taken + at, 1, all[i].n);
            taken[at] = 2;
            at += all[i].n;
        }
    for (size_t at = 0; !code && at < n;) {
        size_t end = at + 1;
        for (; taken[at] && end < n && taken[end] == 1; end++)
            ;
        if (taken[at]) {
            if (r->count + 2 > r->room) {
                size_t *more = realloc(r->literal, (2 * r->room + 16) * sizeof *more);
                if (!more) {
                    code = EW_MEMORY;
                    break;
                }
                r->literal = more, r->room = 2 * r->room + 16;
            }
            r->literal[r->count++] = from + at, r->literal[r->count++] = from + end;
        }
        at = end;
    }
    free(all);
    free(ids);
    free(taken);
    return code;
}

/* One message, `{"role": ..., "content": ...}`; whatever else it says is passed over. */
static void read_message(json *j, words *role, words *content, words *scratch)
{
    int has_role = 0, has_content = 0;
    json_want(j, '{');
    for (int more = !json_is(j, '}'); more && !j->code; more = json_is(j, ',')) {
        json_text(j, scratch);
        json_want(j, ':');
        int is_role = !j->code && !strcmp(scratch->bytes, "role"), is_content = !j->code && !strcmp(scratch->bytes, "content");
        if (is_role)
            has_role = 1, json_text(j, role);
        else if (is_content)
            has_content = 1, json_text(j, content);
        else
            json_skip(j, scratch, 0);
        if (json_look(j) != ',') {
            json_want(j, '}');
            break;
        }
    }
    if (!has_role || !has_content)
        json_fail(j, EW_ARGUMENT);
}

static int role_of(const words *name)
{
    for (int i = 0; i < ROLES; i++)
        if (name->n == strlen(roles[i]) && !memcmp(name->bytes, roles[i], name->n))
            return i;
    return -1;
}

static int put_words(rendered *r, const char *text) { return put_bytes(&r->text, text, strlen(text)); }

static int put_message(const ew_tokenizer *t, const chat *c, rendered *r, size_t at, int role, const words *content)
{
    const char *said = content->bytes;
    size_t n = content->n;
    int code = at ? EW_OK : put_words(r, role ? c->unsaid : c->begin);
    if (c->trims)
        stripped(&said, &n);
    if (!code)
        code = put_words(r, c->before[role]);
    if (!code)
        code = put_bytes(&r->text, said, n);
    if (!code)
        code = find_special(t, r, n);
    if (!code)
        code = put_words(r, c->after[role]);
    return !code && r->text.n > MOST_CHAT_BYTES ? EW_TOO_LONG : code;
}

/* Messages, a list in JSON, as the model's text. */
static int render(const ew_tokenizer *t, const chat *c, const char *messages, rendered *r, char *why)
{
    words role = {0}, content = {0}, scratch = {0};
    json j = {messages, messages, EW_OK};
    size_t count = 0, turns = 0;
    int code = EW_OK;
    if (c->refused)
        return say(why, EW_ARGUMENT, "%s: give a plain prompt", c->refused);
    json_want(&j, '[');
    for (int more = !json_is(&j, ']'); more && !j.code && !code; more = json_is(&j, ',')) {
        read_message(&j, &role, &content, &scratch);
        int who = j.code ? -1 : role_of(&role);
        if (j.code)
            break;
        if (who < 0 || !c->before[who])
            code = say(why, EW_ARGUMENT, "message %zu has the role %.40s, which this model's template does not take here", count, role.bytes);
        else if (c->in_turns && (who || count) && who != 1 + (int)(turns++ % 2))
            code = say(why, EW_ARGUMENT, "message %zu is of the %s: this model wants user and assistant in turn, system first", count, role.bytes);
        else if ((code = put_message(t, c, r, count++, who, &content)))
            say(why, code, "%s", ew_words(code));
        if (json_look(&j) != ',') {
            json_want(&j, ']');
            break;
        }
    }
    if (!code && (j.code || json_look(&j)))
        code = say(why, j.code == EW_MEMORY ? EW_MEMORY : EW_ARGUMENT,
                   "the messages cannot be read at byte %zu: a list of {\"role\": text, \"content\": text} is wanted", (size_t)(j.at - messages));
    if (!code && !count)
        code = say(why, EW_ARGUMENT, "there is no message");
    if (!code && (code = put_words(r, c->answer)))
        say(why, code, "%s", ew_words(code));
    free(role.bytes);
    free(content.bytes);
    free(scratch.bytes);
    return code;
}
