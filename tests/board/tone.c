// Plays a tone of 1 kHz on a sound card, on and on: the kernel's interface, without a sound library. With snd-aloop what is
// played on its device 0 is heard on its device 1.
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <sound/asound.h>

// Mono, 16 kHz: sixteen samples are a period.
enum { RATE = 16000, PERIOD = 16, FRAMES = 1600 };
static const short WAVE[PERIOD] = {0, 3061, 5657, 7391, 8000, 7391, 5657, 3061, 0, -3061, -5657, -7391, -8000, -7391, -5657, -3061};

static void only(struct snd_pcm_hw_params *params, int key, unsigned value) {
    if (key <= SNDRV_PCM_HW_PARAM_LAST_MASK) {
        struct snd_mask *mask = &params->masks[key - SNDRV_PCM_HW_PARAM_FIRST_MASK];
        memset(mask, 0, sizeof *mask);
        mask->bits[value / 32] = 1u << value % 32;
    } else {
        struct snd_interval *interval = &params->intervals[key - SNDRV_PCM_HW_PARAM_FIRST_INTERVAL];
        *interval = (struct snd_interval){.min = value, .max = value, .integer = 1};
    }
}

int main(int count, char **arguments) {
    static short sound[FRAMES];
    struct snd_pcm_hw_params params;
    int device;
    if (count != 2 || (device = open(arguments[1], O_RDWR)) < 0) {
        perror(count == 2 ? arguments[1] : "usage: tone /dev/snd/pcmC0D0p");
        return 1;
    }
    for (int i = 0; i < FRAMES; i++) sound[i] = WAVE[i % PERIOD];
    memset(&params, 0, sizeof params);
    for (int i = 0; i <= SNDRV_PCM_HW_PARAM_LAST_MASK - SNDRV_PCM_HW_PARAM_FIRST_MASK; i++)
        memset(&params.masks[i], 0xff, sizeof params.masks[i]);
    for (int i = 0; i <= SNDRV_PCM_HW_PARAM_LAST_INTERVAL - SNDRV_PCM_HW_PARAM_FIRST_INTERVAL; i++)
        params.intervals[i].max = ~0u;
    params.rmask = ~0u;
    params.info = ~0u;
    only(&params, SNDRV_PCM_HW_PARAM_ACCESS, SNDRV_PCM_ACCESS_RW_INTERLEAVED);
    only(&params, SNDRV_PCM_HW_PARAM_FORMAT, SNDRV_PCM_FORMAT_S16_LE);
    only(&params, SNDRV_PCM_HW_PARAM_CHANNELS, 1);
    only(&params, SNDRV_PCM_HW_PARAM_RATE, RATE);
    only(&params, SNDRV_PCM_HW_PARAM_PERIOD_SIZE, FRAMES);
    only(&params, SNDRV_PCM_HW_PARAM_PERIODS, 4);
    if (ioctl(device, SNDRV_PCM_IOCTL_HW_PARAMS, &params) || ioctl(device, SNDRV_PCM_IOCTL_PREPARE)) {
        perror("setting the card up");
        return 1;
    }
    for (;;) {
        struct snd_xferi write = {.buf = sound, .frames = FRAMES};
        // A slow machine may come too late: begin anew.
        if (ioctl(device, SNDRV_PCM_IOCTL_WRITEI_FRAMES, &write) && ioctl(device, SNDRV_PCM_IOCTL_PREPARE)) {
            perror("playing");
            return 1;
        }
    }
}
