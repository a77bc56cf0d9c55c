/* See edgewright.h: the settings of an exported model, its engine, and what each task makes of the engine's outputs. */
#define _POSIX_C_SOURCE 200809L
#define _GNU_SOURCE /* madvise, dl_iterate_phdr */
#include "edgewright.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ew_pages.h"
#include "ew_engine.h"
#include "ew_values.h"
#include "ew_answers.h"
#include "ew_json.h"
#include "ew_sampling.h"
#include "ew_text_stream.h"
#include "ew_chat.h"
#include "ew_generate.h"
#include "ew_beams.h"
#include "ew_sentences.h"
#include "ew_translate.h"
#ifndef EW_ENGINE_MEMORY
#include "ew_litert.h"
#include "ew_litert_decoder.h"
#include "ew_litert_translator.h"
#include "ew_litert_session.h"
#endif

/* Text classification */

static int classify(call *c)
{
    ew_model *m = c->m;
    size_t n = m->label_count, prompt = strlen(m->prompt);
    char *text = need(c, 1, prompt + strlen(c->q->text), 1);
    if (!text)
        return out_of_memory(c);
    memcpy(text, m->prompt, prompt);
    strcpy(text + prompt, c->q->text);
    int code = encoded(c, text, c->q->pair, 0);
    if (code || (code = run_one(c)) || (code = check(c, 0, 2, 1, (int64_t)n)))
        return code;
    const float *logits = c->outputs[0].data;
    double *scores = need(c, 2, n, sizeof *scores);
    ranked *order = need(c, 3, n, sizeof *order);
    if (!scores || !order)
        return out_of_memory(c);
    int several = !strcmp(m->problem, "multi_label"), value = !strcmp(m->problem, "regression");
    if (!several && !value)
        softmax(logits, scores, n);
    for (size_t i = 0; i < n; i++) {
        if (several || value)
            scores[i] = several || !strcmp(m->activation, "sigmoid") ? sigmoid(logits[i]) : logits[i];
        order[i] = (ranked){logits[i], i};
    }
    qsort(order, n, sizeof *order, falling);
    for (size_t i = 0; i < most_of(c, 1, n); i++) {
        ew_item *item = add(c);
        if (!item)
            return out_of_memory(c);
        item->label = m->labels[order[i].at];
        item->index = (uint32_t)order[i].at;
        item->score = scores[order[i].at];
    }
    return EW_OK;
}

/* Feature extraction */

static int embed(call *c)
{
    ew_model *m = c->m;
    size_t prompt = strlen(m->prompt), width, n;
    char *text = need(c, 1, prompt + strlen(c->q->text), 1);
    if (!text)
        return out_of_memory(c);
    memcpy(text, m->prompt, prompt);
    strcpy(text + prompt, c->q->text);
    int whole = !strcmp(m->pooling, "model"), code = encoded(c, text, c->q->pair, 0);
    if (code || (code = run_one(c)) || (code = check(c, 0, whole ? 2 : 3, 1, 0)))
        return code;
    const tensor *t = &c->outputs[0];
    width = (size_t)(whole ? t->shape[1] : t->shape[2]), n = whole ? 1 : (size_t)t->shape[1];
    float *vector = c->a->vector = malloc(width * sizeof *vector + 1);
    if (!vector)
        return out_of_memory(c);
    c->a->width = width;
    double length = 0;
    for (size_t k = 0; k < width; k++) {
        double sum = 0, most = -INFINITY;
        for (size_t i = 0; i < n; i++) {
            sum += t->data[i * width + k];
            most = t->data[i * width + k] > most ? t->data[i * width + k] : most;
        }
        vector[k] = whole || !strcmp(m->pooling, "cls") ? t->data[k] : !strcmp(m->pooling, "max") ? (float)most : (float)(sum / (double)n);
        length += (double)vector[k] * vector[k];
    }
    length = sqrt(length) > 1e-12 ? sqrt(length) : 1e-12;
    for (size_t k = 0; k < width && m->normalize && !whole; k++)
        vector[k] = (float)(vector[k] / length);
    return EW_OK;
}

/* Token classification */

static int joined(call *c, const char *const *pieces, const size_t *bytes, size_t count, char **out)
{
    size_t n = ew_joined(c->m->tokenizer, pieces, bytes, count, NULL, 0);
    *out = keep(c, NULL, n);
    if (!*out)
        return out_of_memory(c);
    ew_joined(c->m->tokenizer, pieces, bytes, count, *out, n);
    return EW_OK;
}

/* A tag's prefix and name; the rarer prefixes count where no label is without one. */
static const char *name_of(const char *tag, int rare, char *place)
{
    int known = tag[0] && tag[1] == '-' && strchr(rare ? "BIELSU" : "BI", tag[0]);
    *place = known ? tag[0] : 0;
    return known ? tag + 2 : tag;
}

static int all_prefixed(const ew_model *m)
{
    for (size_t i = 0; i < m->label_count; i++)
        if (strcmp(m->labels[i], "O") && (!m->labels[i][0] || m->labels[i][1] != '-' || !strchr("BIELSU", m->labels[i][0])))
            return 0;
    return 1;
}

/* An entity of tokens `first` to `last`, with the tokens' own text joined and the text's stretch. */
static int entity(call *c, const characters *text, size_t first, size_t last, const char *label, double score)
{
    size_t n = last - first + 1, *bytes = need(c, 5, n, sizeof *bytes);
    const char **pieces = need(c, 6, n, sizeof *pieces);
    uint32_t start = c->e.tokens[first].start, end = c->e.tokens[last].end;
    char *word;
    if (!bytes || !pieces)
        return out_of_memory(c);
    for (size_t i = 0; i < n; i++)
        pieces[i] = ew_token_text(c->m->tokenizer, c->e.tokens[first + i].id, &bytes[i]);
    strip(text, &start, &end);
    if (start >= end)
        return EW_OK;
    int code = joined(c, pieces, bytes, n, &word);
    ew_item *item = code ? NULL : add(c);
    characters inside;
    if (code || !item || (code = spelled(c, 7, word, &inside)))
        return code ? code : out_of_memory(c);
    uint32_t from = 0, to = inside.count;
    strip(&inside, &from, &to);
    word[inside.at[to]] = 0;
    *item = (ew_item){label, word + inside.at[from], score, 0, 0, start, end};
    return EW_OK;
}

static int own_entities(call *c, const characters *text, const double *chances)
{
    ew_model *m = c->m;
    size_t n = c->e.count, labels = m->label_count, words = 0;
    struct {
        size_t first, last, best;
    } *word = need(c, 4, n, sizeof *word);
    int marks = ew_marks_pieces(m->tokenizer), rare = all_prefixed(m), closed = 1, code = EW_OK;
    if (!word)
        return out_of_memory(c);
    for (size_t i = 0; i < n; i++) {
        const ew_token *t = &c->e.tokens[i];
        if (t->side < 0)
            continue;
        if (marks && words && i && c->e.tokens[i - 1].word == t->word && c->e.tokens[i - 1].side >= 0) {
            word[words - 1].last = i;
            continue;
        }
        word[words].first = word[words].last = i;
        word[words++].best = largest(chances + i * labels, labels);
    }
    size_t begin = 0, open = 0;
    const char *name = "";
    double sum = 0;
    for (size_t i = 0; i <= words && !code; i++) {
        char place = 0;
        const char *next = i < words ? name_of(m->labels[word[i].best], rare, &place) : "O";
        int out = !strcmp(next, "O"), starts = closed || (place && strchr("BSU", place)) || strcmp(name, next);
        if (open && (out || starts)) {
            code = entity(c, text, word[begin].first, word[i - 1].last, name, sum / (double)open);
            open = 0;
        }
        closed = out || (place && strchr("ELSU", place));
        if (out)
            continue;
        if (!open)
            begin = i, name = next, sum = 0;
        sum += chances[word[i].first * labels + word[i].best];
        open++;
    }
    return code;
}

typedef struct {
    const char *word, *tag;
    size_t bytes;
    double score;
    uint32_t start, end;
} tagged;

static const char *plain_name(const char *tag) { return !strncmp(tag, "B-", 2) || !strncmp(tag, "I-", 2) ? tag + 2 : tag; }

/* By the strategies of transformers' pipeline, see edgewright.tasks._aggregation. */
static int aggregated(call *c, const characters *text, const double *chances)
{
    ew_model *m = c->m;
    size_t n = c->e.count, labels = m->label_count, count = 0;
    tagged *all = need(c, 4, n, sizeof *all);
    const char **pieces = need(c, 5, n, sizeof *pieces);
    size_t *bytes = need(c, 6, n, sizeof *bytes);
    double *row = need(c, 3, labels, sizeof *row);
    if (!all || !pieces || !bytes || !row)
        return out_of_memory(c);
    for (size_t i = 0; i < n;) {
        size_t j = i, parts = 0, chosen = i;
        uint32_t start = c->e.tokens[i].start, end = 0;
        if (c->e.tokens[i].side < 0) {
            i++;
            continue;
        }
        double most = -1;
        for (size_t k = 0; k < labels; k++)
            row[k] = 0;
        for (; j < n; j++) {
            const ew_token *t = &c->e.tokens[j];
            if (t->side < 0)
                break;
            int unknown = t->id == m->unknown_id, inside;
            pieces[parts] = unknown ? text->bytes + text->at[t->start] : ew_token_text(m->tokenizer, t->id, &bytes[parts]);
            if (unknown)
                bytes[parts] = text->at[t->end] - text->at[t->start];
            uint32_t letters = 0;
            for (size_t k = 0; k < bytes[parts]; k++)
                letters += (pieces[parts][k] & 0xC0) != 0x80;
            if (ew_marks_pieces(m->tokenizer))
                inside = letters != t->end - t->start;
            else
                inside = t->start > 0 && text->code[t->start - 1] != ' ' && (t->start >= text->count || text->code[t->start] != ' ');
            if (unknown)
                inside = 0;
            if (j > i && (!inside || c->q->aggregation == EW_NONE || c->q->aggregation == EW_SIMPLE))
                break;
            const double *own = chances + j * labels;
            for (size_t k = 0; k < labels; k++)
                row[k] += own[k];
            if (own[largest(own, labels)] > most)
                most = own[largest(own, labels)], chosen = j;
            end = t->end;
            parts++;
        }
        const double *by = c->q->aggregation == EW_MAX ? chances + chosen * labels : chances + i * labels;
        for (size_t k = 0; k < labels; k++)
            row[k] /= (double)parts;
        if (c->q->aggregation == EW_AVERAGE)
            by = row;
        size_t best = largest(by, labels);
        char *word = NULL;
        if (c->q->aggregation == EW_NONE || c->q->aggregation == EW_SIMPLE) {
            if (!(word = keep(c, pieces[0], bytes[0])))
                return out_of_memory(c);
        } else if (joined(c, pieces, bytes, parts, &word)) {
            return EW_MEMORY;
        }
        all[count++] = (tagged){word, m->labels[best], strlen(word), by[best], start, end};
        if (c->q->aggregation == EW_NONE && strcmp(m->labels[best], "O")) {
            ew_item *item = add(c);
            if (!item)
                return out_of_memory(c);
            *item = (ew_item){m->labels[best], word, by[best], 0, (uint32_t)i, start, end};
        }
        i = j;
    }
    for (size_t i = 0, j; i < count && c->q->aggregation != EW_NONE; i = j) {
        double sum = 0;
        for (j = i; j < count && (j == i || (strncmp(all[j].tag, "B-", 2) && !strcmp(plain_name(all[j].tag), plain_name(all[j - 1].tag)))); j++) {
            pieces[j - i] = all[j].word, bytes[j - i] = all[j].bytes;
            sum += all[j].score;
        }
        const char *dash = strchr(all[i].tag, '-'), *group = dash ? dash + 1 : all[i].tag;
        char *word;
        if (!strcmp(group, "O"))
            continue;
        int code = joined(c, pieces, bytes, j - i, &word);
        ew_item *item = code ? NULL : add(c);
        if (!item)
            return code ? code : out_of_memory(c);
        *item = (ew_item){group, word, sum / (double)(j - i), 0, 0, all[i].start, all[j - 1].end};
    }
    return EW_OK;
}

static int tag_tokens(call *c)
{
    size_t labels = c->m->label_count;
    characters text;
    int code = encoded(c, c->q->text, NULL, 0);
    if (code || (code = run_one(c)) || (code = check(c, 0, 3, 1, (int64_t)labels)) || (code = spelled(c, 1, c->q->text, &text)))
        return code;
    if ((size_t)c->outputs[0].shape[1] != c->e.count)
        return say(c->a->why, EW_ENGINE, "the engine gave %lld tokens of %zu", (long long)c->outputs[0].shape[1], c->e.count);
    double *chances = need(c, 2, c->e.count * labels, sizeof *chances);
    if (!chances)
        return out_of_memory(c);
    for (size_t i = 0; i < c->e.count; i++)
        softmax(c->outputs[0].data + i * labels, chances + i * labels, labels);
    return c->q->aggregation == EW_OWN ? own_entities(c, &text, chances) : aggregated(c, &text, chances);
}

/* Fill mask */

static int decoded(call *c, const int32_t *ids, size_t n, int skip, char **out)
{
    size_t bytes = ew_decode(c->m->tokenizer, ids, n, skip, NULL, 0);
    *out = keep(c, NULL, bytes);
    if (!*out)
        return out_of_memory(c);
    ew_decode(c->m->tokenizer, ids, n, skip, *out, bytes);
    return EW_OK;
}

static int fill(call *c)
{
    ew_model *m = c->m;
    int code = encoded(c, c->q->text, NULL, 0);
    size_t masks = 0, n = c->e.count, number = 0;
    for (size_t i = 0; !code && i < n; i++)
        masks += c->e.tokens[i].id == m->mask_id;
    if (!code && (m->mask_id < 0 || !masks))
        return say(c->a->why, EW_ARGUMENT, "the text has no %s within %u tokens", *m->mask ? m->mask : "mask", m->max_length);
    if (code || (code = run_one(c)) || (code = check(c, 0, 3, 1, 0)))
        return code;
    size_t words = (size_t)c->outputs[0].shape[2];
    int32_t *ids = need(c, 1, n, sizeof *ids);
    double *chances = need(c, 2, words, sizeof *chances);
    ranked *order = need(c, 3, words, sizeof *order);
    if (!ids || !chances || !order)
        return out_of_memory(c);
    for (size_t i = 0; i < n; i++)
        ids[i] = c->e.tokens[i].id;
    for (size_t i = 0; i < n; i++) {
        if (c->e.tokens[i].id != m->mask_id)
            continue;
        const float *logits = c->outputs[0].data + i * words;
        softmax(logits, chances, words);
        for (size_t k = 0; k < words; k++)
            order[k] = (ranked){logits[k], k};
        qsort(order, words, sizeof *order, falling);
        for (size_t k = 0; k < most_of(c, 5, words); k++) {
            int32_t token = (int32_t)order[k].at;
            char *word, *whole;
            ids[i] = token;
            if ((code = decoded(c, ids, n, masks == 1, &whole)) || (code = decoded(c, &token, 1, 0, &word)))
                return code;
            ew_item *item = add(c);
            if (!item)
                return out_of_memory(c);
            *item = (ew_item){word, whole, chances[token], token, (uint32_t)number, 0, 0};
        }
        ids[i] = m->mask_id;
        number++;
    }
    return EW_OK;
}

/* Question answering */

typedef struct {
    float rate;
    uint32_t start, end;
    double score;
    size_t order;
} passage;

static int by_rate(const void *a, const void *b)
{
    const passage *x = a, *y = b;
    return x->rate > y->rate ? -1 : x->rate < y->rate ? 1 : x->order < y->order ? -1 : x->order > y->order;
}

/* Probabilities over the context's tokens and the special one in front; nothing for the others. */
static int chances_of(call *c, const float *logits, double *out)
{
    size_t n = c->e.count, kept = 0;
    float *some = need(c, 4, n, sizeof *some);
    if (!some)
        return out_of_memory(c);
    for (size_t i = 0; i < n; i++)
        if (c->e.tokens[i].side == 1 || (c->e.tokens[i].side < 0 && !i))
            some[kept++] = logits[i];
    double *all = need(c, 5, kept, sizeof *all);
    if (!all)
        return out_of_memory(c);
    softmax(some, all, kept);
    for (size_t i = n; i-- > 0;)
        out[i] = c->e.tokens[i].side == 1 || (c->e.tokens[i].side < 0 && !i) ? all[--kept] : 0;
    return EW_OK;
}

static int add_passage(call *c, const characters *context, const passage *p)
{
    ew_item *item = add(c);
    if (!item || !(item->text = stretch(c, context, p->start, p->end)))
        return out_of_memory(c);
    item->score = p->score, item->start = p->start, item->end = p->end;
    return EW_OK;
}

static int answer(call *c)
{
    ew_model *m = c->m;
    if (!c->q->pair)
        return unfit(c, "a question and its context");
    int code = ew_windows_begin(m->tokenizer, &c->e, c->q->text, strlen(c->q->text), c->q->pair, strlen(c->q->pair), m->max_length);
    if (code)
        return say(c->a->why, code, "%s", ew_words(code));
    uint32_t stride;
    size_t windows = ew_windows_count(m->tokenizer, &c->e, m->max_length, &stride), found = 0, room = 0, longest = c->q->max_answer_len > 0 ? (size_t)c->q->max_answer_len : 30;
    size_t wanted = c->q->top_k == 0 ? 1 : c->q->top_k < 0 ? (size_t)-1 : (size_t)c->q->top_k;
    passage *all = NULL, nothing = {INFINITY, 0, 0, 0, 0};
    characters context;
    if ((code = spelled(c, 1, c->q->pair, &context)))
        return code;
    for (size_t w = 0; w < windows; w++) {
        if ((code = ew_window(m->tokenizer, &c->e, w, m->max_length, stride)) || (code = run_one(c)) || (code = check(c, 0, 2, 1, 0)) || (code = check(c, 1, 2, 1, 0)))
            return code;
        size_t n = c->e.count;
        const float *starts = c->outputs[0].data, *ends = c->outputs[1].data;
        double *begins = need(c, 2, 2 * n, sizeof *begins), *stops = begins + n;
        if (!begins || (code = chances_of(c, starts, begins)) || (code = chances_of(c, ends, stops)))
            return code ? code : out_of_memory(c);
        int special = c->e.tokens[0].side < 0;
        float rate = special ? starts[0] + ends[0] : -INFINITY;
        if (rate < nothing.rate)
            nothing = (passage){rate, 0, 0, special ? begins[0] * stops[0] : 0, 0};
        for (size_t i = 0; i < n; i++)
            for (size_t j = i, k = 0; c->e.tokens[i].side == 1 && j < n && k < longest; j++, k++) {
                if (c->e.tokens[j].side != 1)
                    break;
                if (found == room) {
                    passage *more = realloc(c->owned[3], (room = 2 * room + 1024) * sizeof *more);
                    if (!more)
                        return out_of_memory(c);
                    c->owned[3] = all = more;
                }
                passage one = {starts[i] + ends[j], c->e.tokens[i].start, c->e.tokens[j].end, begins[i] * stops[j], found};
                strip(&context, &one.start, &one.end);
                if (wanted > 1 || !found)
                    all[found++] = one;
                else if (one.rate > all[0].rate) /* where one is wanted, one is kept: of a long context there are millions */
                    all[0] = one;
            }
    }
    if (found)
        qsort(all, found, sizeof *all, by_rate);
    passage none = {-INFINITY, 0, 0, 0, 0};
    int first = c->q->no_answer && nothing.rate - (found ? all[0].rate : none.rate) > 0;
    if (first && (code = add_passage(c, &context, &nothing)))
        return code;
    size_t given = 0;
    for (size_t i = 0; i < found && given < wanted && c->a->count < wanted; i++) {
        int known = 0;
        for (size_t k = (size_t)first; k < c->a->count; k++)
            known |= c->a->items[k].start == all[i].start && c->a->items[k].end == all[i].end;
        if (!known && (code = add_passage(c, &context, &all[i])))
            return code;
        given += !known;
    }
    if (!found && c->a->count < wanted && (code = add_passage(c, &context, &none)))
        return code;
    return c->q->no_answer && !first && c->a->count < wanted ? add_passage(c, &context, &nothing) : EW_OK;
}

/* Text ranking */

static int rank_texts(call *c)
{
    size_t n = c->q->choice_count, total = 0, width = 0;
    if (!n)
        return unfit(c, "a query and texts");
    size_t *lengths = need(c, 1, 3 * n, sizeof *lengths), *begins = lengths + n, *orders = begins + n;
    float *logits = need(c, 2, 2 * n, sizeof *logits);
    ranked *order = need(c, 3, n, sizeof *order);
    if (!lengths || !logits || !order)
        return out_of_memory(c);
    for (size_t i = 0; i < n; i++) {
        int code = encoded(c, c->q->text, c->q->choices[i], 0);
        if (code)
            return code;
        ew_token *all = realloc(c->owned[4], (total + c->e.count + 1) * sizeof *all);
        if (!all)
            return out_of_memory(c);
        c->owned[4] = all;
        memcpy(all + total, c->e.tokens, c->e.count * sizeof *all);
        begins[i] = total, lengths[i] = c->e.count;
        total += c->e.count;
        order[i] = (ranked){(double)c->e.count, i};
    }
    qsort(order, n, sizeof *order, falling); /* texts of like length run together, the longest first */
    for (size_t i = 0; i < n; i++)
        orders[i] = order[i].at;
    size_t longest = lengths[orders[0]];
    int whole = n * longest <= MOST_TOKENS;
    for (size_t i = 0, j; i < n; i = j) {
        const ew_token **rows = need(c, 5, n, sizeof *rows);
        size_t *sizes = need(c, 6, n, sizeof *sizes);
        if (!rows || !sizes)
            return out_of_memory(c);
        for (j = i; j < n && (whole || j == i || (j - i + 1) * lengths[orders[i]] <= MOST_TOKENS); j++) {
            size_t at = whole ? j : orders[j];
            rows[j - i] = (ew_token *)c->owned[4] + begins[at];
            sizes[j - i] = lengths[at];
        }
        int code = run_rows(c, rows, sizes, j - i);
        if (code || (code = check(c, 0, 2, (int64_t)(j - i), 0)))
            return code;
        width = (size_t)c->outputs[0].shape[1];
        if (width != 1 && width != 2)
            return say(c->a->why, EW_ENGINE, "a model that ranks has one output or two, this one has %zu", width);
        for (size_t k = i; k < j; k++)
            memcpy(logits + 2 * (whole ? k : orders[k]), c->outputs[0].data + (k - i) * width, width * sizeof *logits);
    }
    for (size_t i = 0; i < n; i++)
        order[i] = (ranked){width == 1 ? logits[2 * i] : logits[2 * i + 1] - logits[2 * i], i};
    qsort(order, n, sizeof *order, falling);
    for (size_t i = 0; i < most_of(c, n, n); i++) {
        size_t at = order[i].at;
        float two[2] = {width == 1 ? 0 : logits[2 * at], width == 1 ? logits[2 * at] : logits[2 * at + 1]};
        double shares[2];
        ew_item *item = add(c);
        softmax(two, shares, 2);
        if (!item || !(item->text = keep(c, c->q->choices[at], strlen(c->q->choices[at]))))
            return out_of_memory(c);
        item->score = shares[1], item->index = (uint32_t)at;
    }
    return EW_OK;
}

/* Zero-shot classification */

static int entailment(const ew_model *m)
{
    for (size_t i = 0; i < m->label_count; i++) {
        size_t k = 0;
        while (k < 6 && (m->labels[i][k] | 32) == "entail"[k])
            k++;
        if (k == 6)
            return (int)i;
    }
    return -1;
}

static int choose(call *c)
{
    ew_model *m = c->m;
    size_t n = c->q->choice_count, labels = m->label_count;
    const char *form = c->q->hypothesis ? c->q->hypothesis : "This example is {}.", *hole = strstr(form, "{}");
    int entailed = entailment(m), several = c->q->multi_label || n == 1;
    if (!n || !hole || entailed < 0)
        return unfit(c, !n ? "labels to choose from" : !hole ? "a {} for the label" : "a model of natural language inference");
    float *logits = need(c, 1, n, sizeof *logits);
    double *scores = need(c, 2, n, sizeof *scores);
    ranked *order = need(c, 3, n, sizeof *order);
    if (!logits || !scores || !order)
        return out_of_memory(c);
    for (size_t i = 0; i < n; i++) {
        size_t room = strlen(form) + strlen(c->q->choices[i]) + 1;
        char *text = need(c, 4, room, 1);
        if (!text)
            return out_of_memory(c);
        snprintf(text, room, "%.*s%s%s", (int)(hole - form), form, c->q->choices[i], hole + 2);
        int code = encoded(c, c->q->text, text, 1);
        if (code || (code = run_one(c)) || (code = check(c, 0, 2, 1, (int64_t)labels)))
            return code;
        float two[2] = {c->outputs[0].data[entailed == 0 ? labels - 1 : 0], c->outputs[0].data[entailed]};
        double shares[2];
        softmax(two, shares, 2);
        logits[i] = two[1], scores[i] = shares[1];
    }
    if (!several)
        softmax(logits, scores, n);
    for (size_t i = 0; i < n; i++)
        order[i] = (ranked){scores[i], n - 1 - i}; /* of equals the last stands first, as in transformers */
    qsort(order, n, sizeof *order, falling);
    for (size_t i = 0; i < most_of(c, n, n); i++) {
        size_t at = n - 1 - order[i].at;
        ew_item *item = add(c);
        if (!item || !(item->label = keep(c, c->q->choices[at], strlen(c->q->choices[at]))))
            return out_of_memory(c);
        item->score = scores[at], item->index = (uint32_t)at;
    }
    return EW_OK;
}

int ew_run(ew_model *m, const ew_request *request, ew_answer *out)
{
    static const struct {
        const char *task;
        int (*run)(call *);
    } tasks[] = {{"text-classification", classify}, {"token-classification", tag_tokens}, {"fill-mask", fill}, {"question-answering", answer},
                 {"feature-extraction", embed}, {"text-ranking", rank_texts}, {"zero-shot-classification", choose}};
    call c = {m, request, out, {0}, {0}, {{0}}, {0}};
    int code = EW_UNKNOWN_TASK;
    if (!out)
        return EW_ARGUMENT;
    forget(out);
    out->why[0] = 0;
    if (!m || !request || !request->text)
        return say(out->why, EW_ARGUMENT, "there is no model or no text");
    const char *instead = !m->writer ? ew_words(code) : m->writer->translator ? "it is written by ew_translate" : "it is written by ew_stream";
    say(out->why, code, "%s: %s", m->task, instead);
    for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++)
        if (!strcmp(m->task, tasks[i].task)) {
            out->why[0] = 0;
            code = tasks[i].run(&c);
        }
    let_go(&c);
    ew_encoding_free(&c.e);
    for (size_t i = 0; i < sizeof c.owned / sizeof *c.owned; i++)
        free(c.owned[i]);
    if (code)
        forget(out);
    return code;
}
