/* A program that asks the model:
 *
 *     sample assets "a charming and often affecting journey"
 *     sample assets QUESTION CONTEXT                 question-answering; a pair of texts to classify
 *     sample assets TEXT LABEL LABEL...              zero-shot-classification; QUERY TEXT TEXT... of text-ranking
 *
 * EW_ENGINE names the library of ONNX Runtime, where the loader does not find one.
 */
#include "edgewright.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int count, char **words)
{
    ew_model *model;
    ew_answer answer = {0};
    ew_request request = {0};
    ew_options options = {getenv("EW_ENGINE"), 1};
    char why[EW_WHY];
    if (count < 3)
        return fprintf(stderr, "%s ASSETS TEXT [TEXT...]\n", words[0]), 2;
    if (ew_open(&model, words[1], &options, why))
        return fprintf(stderr, "%s\n", why), 1;
    request.text = words[2];
    if (!strcmp(ew_task(model), "zero-shot-classification") || !strcmp(ew_task(model), "text-ranking")) {
        request.choices = (const char *const *)words + 3;
        request.choice_count = (size_t)count - 3;
    } else if (count > 3) {
        request.pair = words[3];
    }
    int code = ew_run(model, &request, &answer);
    if (code)
        fprintf(stderr, "%s\n", answer.why);
    for (size_t i = 0; i < answer.count; i++) {
        const ew_item *item = &answer.items[i];
        printf("%.6f\t%s\t%u\t%u\t%s\n", item->score, item->label, item->start, item->end, item->text);
    }
    for (size_t i = 0; i < answer.width; i++)
        printf("%.7g%c", (double)answer.vector[i], i + 1 < answer.width ? ' ' : '\n');
    ew_answer_free(&answer);
    ew_close(model);
    return code != EW_OK;
}
