/* The TFLite C library with XNNPACK as a peer: tflite_turns MODEL THREADS OUTPUT-PREFIX INPUT…
 *
 * Runs once on the inputs (raw bytes, a file for each), writes the outputs to PREFIX0, PREFIX1, … and then
 * measures when told (turns.h): TfLiteInterpreterInvoke alone, without copying inputs or outputs.
 */
#include "turns.h"

typedef struct {
    int32_t threads;
    uint32_t flags;
    void *rest[16];
} XnnpackOptions;

void *TfLiteModelCreateFromFile(const char *path);
void *TfLiteInterpreterOptionsCreate(void);
void TfLiteInterpreterOptionsSetNumThreads(void *options, int32_t threads);
void TfLiteInterpreterOptionsAddDelegate(void *options, void *delegate);
void *TfLiteInterpreterCreate(const void *model, const void *options);
int TfLiteInterpreterAllocateTensors(void *interpreter);
int TfLiteInterpreterInvoke(void *interpreter);
int32_t TfLiteInterpreterGetInputTensorCount(const void *interpreter);
int32_t TfLiteInterpreterGetOutputTensorCount(const void *interpreter);
void *TfLiteInterpreterGetInputTensor(const void *interpreter, int32_t index);
const void *TfLiteInterpreterGetOutputTensor(const void *interpreter, int32_t index);
size_t TfLiteTensorByteSize(const void *tensor);
void *TfLiteTensorData(const void *tensor);
XnnpackOptions TfLiteXNNPackDelegateOptionsDefault(void);
void *TfLiteXNNPackDelegateCreate(const XnnpackOptions *options);

static void *interpreter;

static int run(void) { return TfLiteInterpreterInvoke(interpreter); }

int main(int count, char **arguments) {
    if (count < 4) return fprintf(stderr, "usage: tflite_turns MODEL THREADS OUTPUT-PREFIX INPUT...\n"), 2;
    int threads = atoi(arguments[2]);
    void *model = TfLiteModelCreateFromFile(arguments[1]);
    void *options = TfLiteInterpreterOptionsCreate();
    TfLiteInterpreterOptionsSetNumThreads(options, threads);
    XnnpackOptions xnnpack = TfLiteXNNPackDelegateOptionsDefault();
    xnnpack.threads = threads;
    TfLiteInterpreterOptionsAddDelegate(options, TfLiteXNNPackDelegateCreate(&xnnpack));
    interpreter = model ? TfLiteInterpreterCreate(model, options) : NULL;
    if (!interpreter || TfLiteInterpreterAllocateTensors(interpreter)) fail("the model cannot be loaded");
    if (TfLiteInterpreterGetInputTensorCount(interpreter) != count - 4) fail("another number of inputs");
    for (int i = 0; i < count - 4; i++) {
        void *tensor = TfLiteInterpreterGetInputTensor(interpreter, i);
        read_input(arguments[4 + i], TfLiteTensorData(tensor), TfLiteTensorByteSize(tensor));
    }
    if (run()) fail("the first run failed");
    for (int i = 0; i < TfLiteInterpreterGetOutputTensorCount(interpreter); i++) {
        const void *tensor = TfLiteInterpreterGetOutputTensor(interpreter, i);
        char path[4096];
        snprintf(path, sizeof path, "%s%d", arguments[3], i);
        write_output(path, TfLiteTensorData(tensor), TfLiteTensorByteSize(tensor));
    }
    answer(run);
    return 0;
}
