/* A model that answers texts: what `edgewright export c` wrote, opened and asked. C99, a POSIX system, ONNX Runtime.
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
    const char *engine; /* the library of ONNX Runtime; NULL asks the loader for libonnxruntime.so.1, then libonnxruntime.so */
    int threads;        /* of the engine; 0 is 1 */
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

/* `directory` holds model.txt, tokenizer.bin and the model. `why` has room for EW_WHY bytes, or is NULL. */
int ew_open(ew_model **out, const char *directory, const ew_options *options, char *why);
/* Zero an answer before its first use; each run replaces what the one before it gave. */
int ew_run(ew_model *, const ew_request *, ew_answer *);
void ew_answer_free(ew_answer *);
void ew_close(ew_model *);
const char *ew_task(const ew_model *);
const ew_tokenizer *ew_tokenizer_of(const ew_model *);

#ifdef __cplusplus
}
#endif
#endif
