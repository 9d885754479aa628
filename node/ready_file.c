#include "node/ready_file.h"

#include <stdio.h>
#include <unistd.h>

#include "node/option.h"

bool sgn_ready_file_write(const char *path, const char *text)
{
    char part[SGN_PATH_BYTES_MAX + 8];
    if (path[0] == '\0') {
        return true;
    }
    (void)snprintf(part, sizeof(part), "%s.part", path);
    FILE *file = fopen(part, "we");
    bool good = file != NULL;
    if (good) {
        good = fputs(text, file) >= 0;
        good = fclose(file) == 0 && good;
        good = good && rename(part, path) == 0;
    }
    return good;
}

void sgn_ready_file_remove(const char *path)
{
    if (path[0] != '\0') {
        (void)unlink(path);
    }
}
