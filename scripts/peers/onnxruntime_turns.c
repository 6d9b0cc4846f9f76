/* onnxruntime's C library as a peer:
 *   onnxruntime_turns MODEL THREADS OUTPUT-PREFIX INPUT TYPE SHAPE NAME TYPE SHAPE NAME
 *
 * One input, a file of raw bytes, and one output; of both TYPE is ONNX's number of the type, SHAPE is like
 * 1x3x96x96. Runs once, writes the output to PREFIX0, and then measures when told (turns.h): OrtApi::Run
 * alone, into a tensor that is there already.
 *
 * The library's functions are entries of a table that only ever grows; the numbers are their places in
 * `struct OrtApi` of onnxruntime_c_api.h.
 */
#include "turns.h"

enum {
    ERROR_MESSAGE = 2,
    CREATE_ENV = 3,
    CREATE_SESSION = 7,
    RUN = 9,
    CREATE_SESSION_OPTIONS = 10,
    SET_INTRA_OP_THREADS = 24,
    SET_INTER_OP_THREADS = 25,
    CREATE_TENSOR_WITH_DATA = 49,
    CREATE_CPU_MEMORY_INFO = 69,
};
/* The oldest version of the table that has all of them; every later library gives it. */
enum { TABLE_VERSION = 11 };

typedef void *Status;
typedef struct {
    const void *const *(*table)(uint32_t version);
    const char *(*version)(void);
} Base;
const Base *OrtGetApiBase(void);

static const void *const *api;
static void *session;
static void *input, *output;
static const char *input_name, *output_name;

static void good(Status status) {
    if (status) fail(((const char *(*)(Status))api[ERROR_MESSAGE])(status));
}

static int run(void) {
    typedef Status Function(void *, const void *, const char *const *, const void *const *, size_t,
                            const char *const *, size_t, void **);
    const void *inputs[] = {input};
    good(((Function *)api[RUN])(session, NULL, &input_name, inputs, 1, &output_name, 1, &output));
    return 0;
}

/* A tensor over zeroed memory of its own; `bytes` and `size` are that. */
static void *tensor(void *info, int type, const char *text, void **bytes, size_t *size) {
    static const int widths[] = {0, 4, 1, 1, 2, 2, 4, 8};
    if (type < 1 || type > 7) fail("a type that is not known here");
    int64_t shape[8];
    size_t rank = 0;
    *size = widths[type];
    for (const char *at = text; *at && rank < 8; at += *at == 'x') {
        char *end;
        shape[rank] = strtoll(at, &end, 10);
        if (end == at || shape[rank] < 1) fail("a shape that cannot be read");
        *size *= shape[rank++];
        at = end;
    }
    *bytes = calloc(1, *size);
    if (!*bytes) fail("no memory");
    typedef Status Function(void *, void *, size_t, const int64_t *, size_t, int, void **);
    void *made = NULL;
    good(((Function *)api[CREATE_TENSOR_WITH_DATA])(info, *bytes, *size, shape, rank, type, &made));
    return made;
}

int main(int count, char **arguments) {
    if (count != 11) return fprintf(stderr, "usage: onnxruntime_turns MODEL THREADS OUTPUT-PREFIX INPUT TYPE SHAPE NAME TYPE SHAPE NAME\n"), 2;
    api = OrtGetApiBase()->table(TABLE_VERSION);
    if (!api) fail("the library is too old");
    void *environment = NULL, *options = NULL, *info = NULL, *bytes;
    size_t size;
    int threads = atoi(arguments[2]);
    good(((Status(*)(int, const char *, void **))api[CREATE_ENV])(3, "turns", &environment));
    good(((Status(*)(void **))api[CREATE_SESSION_OPTIONS])(&options));
    good(((Status(*)(void *, int))api[SET_INTRA_OP_THREADS])(options, threads));
    good(((Status(*)(void *, int))api[SET_INTER_OP_THREADS])(options, 1));
    good(((Status(*)(void *, const char *, void *, void **))api[CREATE_SESSION])(environment, arguments[1], options,
                                                                                &session));
    good(((Status(*)(int, int, void **))api[CREATE_CPU_MEMORY_INFO])(1, 0, &info));
    input = tensor(info, atoi(arguments[5]), arguments[6], &bytes, &size);
    input_name = arguments[7];
    read_input(arguments[4], bytes, size);
    output = tensor(info, atoi(arguments[8]), arguments[9], &bytes, &size);
    output_name = arguments[10];
    run();
    char path[4096];
    snprintf(path, sizeof path, "%s0", arguments[3]);
    write_output(path, bytes, size);
    answer(run);
    return 0;
}
