/* node/log.h - one line an event on stderr: ts=... level=... node=... msg="..." key=value ...
 *
 * Keys and values that people store are never logged. Each call site may log SGN_LOG_BURST lines a
 * second; what is above is counted, and the next line that gets through says dropped=N (or a line
 * of its own within a second, by sgn_log_tick). Each line is one write.
 * Threads: the loop's thread only. */
#ifndef SGN_NODE_LOG_H
#define SGN_NODE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#define SGN_LOG_BURST      10u
#define SGN_LOG_LINE_BYTES 1024u

enum sgn_log_level { SGN_LOG_DEBUG, SGN_LOG_INFO, SGN_LOG_WARN, SGN_LOG_ERROR, SGN_LOG_LEVELS };

/* State of one call site; only the macro makes one. */
struct sgn_log_site {
    const char *msg;
    enum sgn_log_level level;
    uint64_t second;
    uint32_t count;
    uint64_t dropped;
    struct sgn_log_site *next;
    bool listed;
};

/* `detail` is a sentence, quoted and escaped as detail="...", or NULL; the rest is printf. */
#define SGN_LOG(level_, msg_, detail_, ...)                                                        \
    do {                                                                                           \
        static struct sgn_log_site sgn_log_site_ = {.msg = (msg_), .level = (level_)};             \
        sgn_log_write(&sgn_log_site_, (detail_), __VA_ARGS__);                                     \
    } while (0)

const char *sgn_log_level_name(enum sgn_log_level level);
/* SGN_LOG_LEVELS for a word that is none. */
enum sgn_log_level sgn_log_level_of(const char *word);
void sgn_log_set_level(enum sgn_log_level level);
/* The node that every line names; 0: none. */
void sgn_log_set_node(uint32_t node);

void sgn_log_write(struct sgn_log_site *site, const char *detail, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Reports what sites have dropped and nothing has said since. Call about once a second. */
void sgn_log_tick(void);
/* Lines dropped since the start. */
uint64_t sgn_log_dropped(void);

#endif
