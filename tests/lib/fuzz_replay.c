/* A main for fuzz targets built without libFuzzer: feeds every file of the folders or files named
 * on the command line to the target once, so that kept finds stay fixed in every build. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define REPLAY_PATH_BYTES_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path, off_t size)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return -1;
    }
    /* Exactly the file's size, so that AddressSanitizer sees a read past its end. */
    uint8_t *data = malloc(size > 0 ? (size_t)size : 1);
    if (data == NULL) {
        perror("malloc");
        fclose(file);
        return -1;
    }
    size_t count = fread(data, 1, (size_t)size, file);
    fclose(file);
    if (count == (size_t)size) {
        (void)LLVMFuzzerTestOneInput(data, count);
    }
    free(data);
    return count == (size_t)size ? 1 : -1;
}

/* How many files were replayed, or -1. */
static int replay_folder(const char *path)
{
    DIR *folder = opendir(path);
    if (folder == NULL) {
        perror(path);
        return -1;
    }
    int count = 0;
    const struct dirent *entry = NULL;
    while (count >= 0 && (entry = readdir(folder)) != NULL) {
        char name[REPLAY_PATH_BYTES_MAX];
        struct stat status;
        int length = snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        if (length < 0 || (size_t)length >= sizeof name || stat(name, &status) != 0) {
            fprintf(stderr, "cannot look at %s/%s\n", path, entry->d_name);
            count = -1;
        } else if (S_ISREG(status.st_mode)) {
            count = replay_file(name, status.st_size) < 0 ? -1 : count + 1;
        }
    }
    closedir(folder);
    return count;
}

int main(int argc, char **argv)
{
    int total = 0;
    for (int i = 1; i < argc; i++) {
        struct stat status;
        if (stat(argv[i], &status) != 0) {
            perror(argv[i]);
            return 1;
        }
        int count =
            S_ISDIR(status.st_mode) ? replay_folder(argv[i]) : replay_file(argv[i], status.st_size);
        if (count < 0) {
            return 1;
        }
        total += count;
    }
    printf("%d inputs replayed\n", total);
    return total > 0 ? 0 : 1; /* A replay of nothing would prove nothing. */
}
