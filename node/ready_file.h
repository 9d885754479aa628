/* node/ready_file.h - the file that says "requests are taken now" to whoever started the
 * program. */
#ifndef SGN_NODE_READY_FILE_H
#define SGN_NODE_READY_FILE_H

#include <stdbool.h>

#define SGN_READY_TEXT_BYTES 512u

/* Whole or not at all: whoever waits for the file never reads half of it. A path of "" is none, and
 * is right. False with errno. */
bool sgn_ready_file_write(const char *path, const char *text);
void sgn_ready_file_remove(const char *path);

#endif
