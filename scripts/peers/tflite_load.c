/* Loads a model with the TFLite C library and XNNPACK, one thread, runs it once, and prints as JSON how
 * long that took and what memory the process then holds. The prototypes are those of the library's C API.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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
XnnpackOptions TfLiteXNNPackDelegateOptionsDefault(void);
void *TfLiteXNNPackDelegateCreate(const XnnpackOptions *options);

static double milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

/* Kilobytes that /proc/self/status gives for `key`, as in "VmRSS:". */
static long status(const char *key) {
    char line[256];
    long value = -1;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file))
        if (!strncmp(line, key, strlen(key))) value = atol(line + strlen(key));
    if (file) fclose(file);
    return value;
}

int main(int count, char **arguments) {
    if (count != 2) return fprintf(stderr, "usage: tflite_load MODEL\n"), 2;
    double start = milliseconds();
    void *model = TfLiteModelCreateFromFile(arguments[1]);
    void *options = TfLiteInterpreterOptionsCreate();
    TfLiteInterpreterOptionsSetNumThreads(options, 1);
    XnnpackOptions xnnpack = TfLiteXNNPackDelegateOptionsDefault();
    xnnpack.threads = 1;
    TfLiteInterpreterOptionsAddDelegate(options, TfLiteXNNPackDelegateCreate(&xnnpack));
    void *interpreter = model ? TfLiteInterpreterCreate(model, options) : NULL;
    if (!interpreter || TfLiteInterpreterAllocateTensors(interpreter)) return 1;
    double loaded = milliseconds();
    if (TfLiteInterpreterInvoke(interpreter)) return 1;
    double ran = milliseconds();
    printf("{\"load_ms\": %.4f, \"first_ms\": %.4f, \"rss_kib\": %ld, \"peak_kib\": %ld}\n", loaded - start,
           ran - loaded, status("VmRSS:"), status("VmHWM:"));
    return 0;
}
