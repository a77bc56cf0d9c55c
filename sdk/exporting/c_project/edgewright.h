/* A model that answers texts: what `edgewright export c` wrote, opened and asked. C99, a POSIX system, ONNX Runtime or LiteRT.
 *
 *     ew_model *model;
 *     char why[EW_WHY];
 *     if (ew_open(&model, "assets", NULL, why))
 *         puts(why);
 *     ew_answer answer = {0};
 *     if (!ew_run(model, &(ew_request){.text = "a charming journey"}, &answer))
 *         printf("%s %.3f\n", answer.items[0].label, answer.items[0].score);
 *     ew_answer_free(&answer);
 *     ew_close(model);
 *
 * Texts are UTF-8 and end with NUL, in answers too. Threads may ask one model at once, each with an answer of its own;
 * nobody may ask it after ew_close. The engine is loaded at run time: to build this, nothing of it is needed.
 */
#ifndef EDGEWRIGHT_H
#define EDGEWRIGHT_H
#include "ew_tokenizer.h"
#ifdef __cplusplus
extern "C" {
#endif

#define EW_WHY 512 /* bytes of an error's words */

typedef struct ew_model ew_model;

typedef struct {
    const char *engine; /* the library of ONNX Runtime, or of LiteRT for a .tflite file; NULL asks the loader for libonnxruntime.so.1,
                         * then libonnxruntime.so, or for libLiteRt.so */
    int threads;        /* of the engine; 0 is 1 */
    int huge_pages;     /* Linux with glibc: put weights on huge pages, up to half as fast again when writing; it changes how
                         * the whole process allocates */
} ew_options;

typedef enum { EW_OWN, EW_NONE, EW_SIMPLE, EW_FIRST, EW_AVERAGE, EW_MAX } ew_aggregation;

typedef struct {
    const char *text;            /* the text, question or query */
    const char *pair;            /* the second text or the context, NULL where there is none */
    const char *const *choices;  /* the labels of zero-shot-classification, the texts of text-ranking */
    size_t choice_count;
    int top_k;                   /* how many items; 0 is the task's own number, -1 all */
    ew_aggregation aggregation;  /* of token-classification */
    int multi_label;             /* of zero-shot-classification */
    const char *hypothesis;      /* of zero-shot-classification, with {}; NULL is "This example is {}." */
    int max_answer_len;          /* of question-answering, in tokens; 0 is 30 */
    int no_answer;               /* of question-answering: whether "" may be the answer */
} ew_request;

typedef struct {
    const char *label;   /* of a class or an entity; the token of a filling */
    const char *text;    /* of an entity, a filled text, an answer or a ranked text */
    double score;
    int32_t id;          /* of a filling's token */
    uint32_t index;      /* the place of a ranked text, of a token, or the number of a mask */
    uint32_t start, end; /* characters of the text, or of the context */
} ew_item;

typedef struct {
    ew_item *items; /* the best first; entities and masks in the order of the text */
    size_t count;
    float *vector; /* of feature-extraction */
    size_t width;
    char why[EW_WHY]; /* what went wrong */
    struct ew_part *parts;
} ew_answer;

/* Why an answer ended: EW_END the model's own token; EW_STOP a stop string, before which the text is cut; EW_LENGTH
 * max_new_tokens; EW_CONTEXT, which is full; EW_CANCELLED by the caller. */
typedef enum { EW_NOTHING, EW_END, EW_STOP, EW_LENGTH, EW_CONTEXT, EW_CANCELLED } ew_reason;

/* A piece of an answer, whole characters, ended by NUL; another result than 0 ends the answer there. */
typedef int ew_piece(void *user, const char *piece, size_t bytes);

typedef struct {
    size_t prompt_tokens, reused; /* of which so many lay in the cache already */
    size_t tokens;                /* written, without the one that ended the answer */
    const int32_t *ids;           /* of these, the model's own until it is asked again */
    double first_s;               /* from the call to the first token */
    double prefill_s, decode_s;   /* until the prompt was read; from the first token to the last */
    ew_reason reason;
    char why[EW_WHY]; /* what went wrong */
} ew_stats;

/* `directory` holds model.txt, tokenizer.bin and the model. `why` has room for EW_WHY bytes, or is NULL. */
int ew_open(ew_model **out, const char *directory, const ew_options *options, char *why);
/* Zero an answer before its first use; each run replaces what the one before it gave. */
int ew_run(ew_model *, const ew_request *, ew_answer *);
void ew_answer_free(ew_answer *);
/* A model that writes: the answer to a prompt, or to messages `[{"role": "user", "content": "..."}]`, one of them NULL; `told`
 * gets it piece by piece. `settings` is NULL, or JSON with any of max_new_tokens (256), temperature, top_k, top_p, min_p,
 * repetition_penalty, no_repeat_ngram_size, seed, stop (a text or a list), when_full ("stop", "slide", "refuse"), ignore_end;
 * what is not said is the model's own. The cache stays: what a prompt has in common with the last one is not read again. One
 * answer is written at a time, another call meanwhile is EW_BUSY. `stats` may be NULL. */
int ew_stream(ew_model *, const char *prompt, const char *messages, const char *settings, ew_piece *told, void *user, ew_stats *stats);
int ew_chats(const ew_model *); /* whether it takes messages */
/* A model that translates: `told` gets the translation of each sentence of the text as soon as it is there, and white space
 * between sentences as it is; one that is longer than the model reads is cut at spaces. A text may begin with the language that
 * it wants, `>>es<<`. `settings` is NULL, or JSON with any of num_beams (1 to 64), length_penalty, early_stopping (true, false,
 * "never"), max_new_tokens (of a sentence), split (true; false takes each line whole); what is not said is the model's own. One
 * text is translated at a time, another call meanwhile is EW_BUSY. In `stats`, which may be NULL, `prompt_tokens` and `ids` are
 * of all sentences, with the tokens that end their translations; `reason` is EW_LENGTH where one of them is as long as it may be; prefill_s is the encoder's time, decode_s the decoder's. */
int ew_translate(ew_model *, const char *text, const char *settings, ew_piece *told, void *user, ew_stats *stats);
/* While an answer or a translation is written, from a thread or `told`, this ends it, and the model is closed behind it. */
void ew_close(ew_model *);
const char *ew_task(const ew_model *);
const ew_tokenizer *ew_tokenizer_of(const ew_model *);

#ifdef __cplusplus
}
#endif
#endif
