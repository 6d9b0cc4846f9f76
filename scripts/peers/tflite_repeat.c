/* Runs a model with the TFLite C library on one thread, once for each input of a file that holds one after
 * another as they lie in memory, and writes the outputs one after another to another file:
 *
 *     tflite_repeat xnnpack|builtin MODEL INPUTS RUNS OUTPUTS
 *
 * Models of one input. Prints where the library lies in memory, in hexadecimal, so that addresses that a
 * profiler saw can be found in its file. The prototypes are those of the library's C API.
 */
#define _GNU_SOURCE
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
void *TfLiteInterpreterGetInputTensor(const void *interpreter, int32_t index);
int32_t TfLiteInterpreterGetOutputTensorCount(const void *interpreter);
const void *TfLiteInterpreterGetOutputTensor(const void *interpreter, int32_t index);
size_t TfLiteTensorByteSize(const void *tensor);
void *TfLiteTensorData(const void *tensor);
XnnpackOptions TfLiteXNNPackDelegateOptionsDefault(void);
void *TfLiteXNNPackDelegateCreate(const XnnpackOptions *options);

static int show_base(struct dl_phdr_info *info, size_t size, void *data) {
    (void)size, (void)data;
    if (!strstr(info->dlpi_name, "tensorflowlite")) return 0;
    printf("%#llx\n", (unsigned long long)info->dlpi_addr);
    return 1;
}

static int fail(const char *what) {
    fprintf(stderr, "tflite_repeat: %s\n", what);
    return 1;
}

int main(int count, char **arguments) {
    if (count != 6) return fail("usage: tflite_repeat xnnpack|builtin MODEL INPUTS RUNS OUTPUTS");
    void *model = TfLiteModelCreateFromFile(arguments[2]);
    void *options = TfLiteInterpreterOptionsCreate();
    TfLiteInterpreterOptionsSetNumThreads(options, 1);
    if (!strcmp(arguments[1], "xnnpack")) {
        XnnpackOptions xnnpack = TfLiteXNNPackDelegateOptionsDefault();
        xnnpack.threads = 1;
        TfLiteInterpreterOptionsAddDelegate(options, TfLiteXNNPackDelegateCreate(&xnnpack));
    }
    void *interpreter = model ? TfLiteInterpreterCreate(model, options) : NULL;
    if (!interpreter || TfLiteInterpreterAllocateTensors(interpreter)) return fail("cannot load the model");
    if (TfLiteInterpreterGetInputTensorCount(interpreter) != 1) return fail("the model has not one input");
    FILE *inputs = fopen(arguments[3], "rb"), *outputs = fopen(arguments[5], "wb");
    if (!inputs || !outputs) return fail("cannot open the inputs or the outputs");
    void *input = TfLiteInterpreterGetInputTensor(interpreter, 0);
    size_t size = TfLiteTensorByteSize(input);
    for (long run = 0, runs = atol(arguments[4]); run < runs; run++) {
        if (fread(TfLiteTensorData(input), 1, size, inputs) != size) return fail("too few inputs");
        if (TfLiteInterpreterInvoke(interpreter)) return fail("the model does not run");
        for (int32_t i = 0; i < TfLiteInterpreterGetOutputTensorCount(interpreter); i++) {
            const void *output = TfLiteInterpreterGetOutputTensor(interpreter, i);
            fwrite(TfLiteTensorData(output), 1, TfLiteTensorByteSize(output), outputs);
        }
    }
    dl_iterate_phdr(show_base, NULL);
    return fclose(outputs) ? fail("cannot write the outputs") : 0;
}
