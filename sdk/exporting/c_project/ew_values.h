/* A part of edgewright.c, and of a page's: an engine that is not ONNX Runtime, by the places of ONNX Runtime's table. Values
 * are described here and their bytes are the caller's or malloc's; what an engine of its own has is how it opens and runs. */
enum { SLOTS = 131, MOST_RANK = 5 };

typedef struct {
    int32_t type, rank; /* ONNX's types */
    int32_t shape[MOST_RANK];
    void *data;
    void (*let_go)(void *data); /* NULL where `data` stays when it goes */
} value;

/* float32 in bytes from malloc, which are the value's from now on. */
static value *value_of(float *data, int rank, int first, int second, int third)
{
    value *v = malloc(sizeof *v);
    if (v)
        *v = (value){ORT_FLOAT, rank, {first, second, third, 1, 1}, data, free};
    return v;
}

static void *tensor_made(void *memory, void *data, size_t bytes, const int64_t *shape, size_t rank, int type, void **out)
{
    value *v = malloc(sizeof *v);
    (void)memory, (void)bytes;
    if (!v || rank > MOST_RANK)
        return free(v), (void *)"no memory";
    *v = (value){type, (int32_t)rank, {1, 1, 1, 1, 1}, data, NULL};
    for (size_t i = 0; i < rank; i++)
        v->shape[i] = (int32_t)shape[i];
    return *out = v, NULL;
}

static void value_released(void *v)
{
    value *one = v;
    if (one->let_go)
        one->let_go(one->data);
    free(one);
}

static const char *error_message(void *status) { return status; }
static void released(void *thing) { (void)thing; }
static void *about(void *v, void **out) { return *out = v, NULL; }
static void *type_of(void *v, int *out) { return *out = ((value *)v)->type, NULL; }
static void *rank_of(void *v, size_t *out) { return *out = (size_t)((value *)v)->rank, NULL; }
static void *data_of(void *v, void **out) { return *out = ((value *)v)->data, NULL; }

static void *shape_given(void *v, int64_t *out, size_t rank)
{
    for (size_t i = 0; i < rank && i < MOST_RANK; i++)
        out[i] = ((value *)v)->shape[i];
    return NULL;
}

/* What every such table has; errors are texts that nobody frees. */
#define VALUES_IN_TABLE \
    [ORT_GET_ERROR_MESSAGE] = (ort_call)error_message, [ORT_CREATE_TENSOR] = (ort_call)tensor_made, [ORT_TENSOR_DATA] = (ort_call)data_of, \
    [ORT_GET_TYPE] = (ort_call)type_of, [ORT_GET_DIMENSIONS_COUNT] = (ort_call)rank_of, [ORT_GET_DIMENSIONS] = (ort_call)shape_given, \
    [ORT_GET_TYPE_AND_SHAPE] = (ort_call)about, [ORT_RELEASE_STATUS] = (ort_call)released, [ORT_RELEASE_VALUE] = (ort_call)value_released, \
    [ORT_RELEASE_TYPE_AND_SHAPE] = (ort_call)released
