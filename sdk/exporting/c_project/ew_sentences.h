/* A part of edgewright.c: where lines end, and their sentences by punctuation, as edgewright.text.sentences has it.
 * Which characters are letters, and which in lower case, model.txt says: they are those of Python. */
typedef struct {
    uint32_t *ends; /* the first and the last of each range, rising */
    size_t count;
} ranges;

typedef struct {
    ranges letter, lower;
} alphabet;

static int breaks_line(uint32_t c) /* as Python's str.splitlines has it */
{
    return (c >= 10 && c <= 13) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

/* Where the line that begins at `at` ends, behind what ends it. */
static size_t line_behind(const char *text, size_t n, size_t at)
{
    while (at < n) {
        uint32_t c = ew_next_char(text, n, &at);
        if (breaks_line(c))
            return c == '\r' && at < n && text[at] == '\n' ? at + 1 : at;
    }
    return n;
}

static size_t space_behind(const char *text, size_t n, size_t at)
{
    for (size_t next = at; next < n && is_space(ew_next_char(text, n, &next)); at = next)
        ;
    return at;
}

/* "61-7a,aa": numbers are hexadecimal. */
static int ranges_read(ranges *r, const char *text)
{
    char *end;
    for (int more = 1; more; text = end + 1) {
        unsigned long first = strtoul(text, &end, 16), last = first;
        int whole = end != text;
        if (*end == '-')
            text = end + 1, last = strtoul(text, &end, 16), whole &= end != text;
        more = *end == ',';
        whole &= (more || !*end) && first <= last && last < 0x110000 && (!r->count || first > r->ends[2 * r->count - 1]);
        uint32_t *wider = whole ? realloc(r->ends, (2 * r->count + 2) * sizeof *wider) : NULL;
        if (!wider)
            return 0;
        r->ends = wider;
        wider[2 * r->count] = (uint32_t)first, wider[2 * r->count++ + 1] = (uint32_t)last;
    }
    return 1;
}

static int in_ranges(const ranges *r, uint32_t c)
{
    size_t low = 0, high = r->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (c > r->ends[2 * middle + 1])
            low = middle + 1;
        else
            high = middle;
    }
    return low < r->count && c >= r->ends[2 * low];
}

static int one_of(const uint32_t *set, uint32_t c)
{
    while (*set && *set != c)
        set++;
    return *set && c;
}

static size_t behind_all(const char *text, size_t n, size_t at, const uint32_t *set)
{
    for (size_t next = at; next < n && one_of(set, ew_next_char(text, n, &next)); at = next)
        ;
    return at;
}

/* Whether what begins at a place begins the sentence, or stands behind white space or what opens a quotation. */
static int begins_word(const char *text, size_t begin, size_t at)
{
    static const uint32_t opening[] = {'(', '[', '"', '\'', 0x201C, 0x2018, 0xAB, 0xBF, 0xA1, 0};
    size_t before = at;
    if (at == begin)
        return 1;
    do
        before--;
    while (before > begin && ((unsigned char)text[before] & 0xC0) == 0x80);
    uint32_t c = ew_next_char(text, at, &before);
    return is_space(c) || one_of(opening, c);
}

static int plain_letter(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }

/* Whether the full stop at a place belongs to an initial, or to a word that is written with one wherever it stands. */
static int abbreviated(const alphabet *l, const char *text, size_t begin, size_t stop)
{
    static const char *const known[] = {"Mr", "Mrs", "Ms", "Dr", "Prof", "St", "Sr", "Jr", "Sra", "Srta", "Dra", "Ud", "Uds", "Hr", "Fr", "Mme",
        "Mlle", "vs", "cf", "etc", "approx", "Inc", "Ltd", "Co", "No", "Nr", "Nos", "pp", "Vol", "Fig", "Jan", "Feb", "Mar", "Apr", "Jun", "Jul",
        "Aug", "Sep", "Sept", "Oct", "Nov", "Dec"};
    size_t from = stop, next;
    if (stop == begin)
        return 0;
    do
        from--;
    while (from > begin && ((unsigned char)text[from] & 0xC0) == 0x80);
    next = from;
    if (in_ranges(&l->letter, ew_next_char(text, stop, &next)) && begins_word(text, begin, from))
        return 1;
    for (from = stop - 1; plain_letter(text[from]); from -= 2) { /* e.g. */
        if (from < stop - 1 && begins_word(text, begin, from))
            return 1;
        if (from < begin + 2 || text[from - 1] != '.')
            break;
    }
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        size_t size = strlen(known[i]);
        if (stop - begin >= size && !memcmp(text + stop - size, known[i], size) && begins_word(text, begin, stop - size))
            return 1;
    }
    return 0;
}

/* Where the sentence that begins at a place ends, the white space behind it with it. */
static size_t sentence_behind(const alphabet *l, const char *text, size_t n, size_t begin)
{
    static const uint32_t stops[] = {'.', '!', '?', 0x2026, 0}, closing[] = {'"', '\'', 0x201D, 0x2019, 0xBB, ')', ']', 0};
    static const uint32_t wide_stops[] = {0x3002, 0xFF01, 0xFF1F, 0}, wide_closing[] = {0x300D, 0x300F, 0xFF09, 0};
    for (size_t at = begin, from; at < n;) {
        from = at;
        uint32_t c = ew_next_char(text, n, &at);
        int wide = one_of(wide_stops, c);
        if (!wide && !one_of(stops, c))
            continue;
        at = behind_all(text, n, at, wide ? wide_stops : stops);
        int plain_stop = at == from + 1 && c == '.';
        at = behind_all(text, n, at, wide ? wide_closing : closing);
        size_t rest = space_behind(text, n, at), next = rest;
        if ((!wide && rest == at) || rest == n || in_ranges(&l->lower, ew_next_char(text, n, &next)))
            continue;
        if (!plain_stop || !abbreviated(l, text, begin, from))
            return rest;
    }
    return n;
}

/* Where a piece of at most `fits` characters ends, behind a space where there is one; `n` where the rest is no longer. */
static size_t piece_behind(const char *text, size_t n, size_t begin, size_t fits)
{
    size_t at = begin, gap = begin;
    for (; fits && at < n; fits--) {
        if (text[at] == ' ' && at > begin)
            gap = at + 1;
        ew_next_char(text, n, &at);
    }
    return at == n ? n : gap > begin ? gap : at;
}
