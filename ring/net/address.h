/* ring/net/address.h - "127.0.0.1:7301" and "[::1]:7301".
 *
 * Names are not looked up: a resolver blocks, and a ring whose nodes find each other by DNS
 * fails when DNS does. */
#ifndef SGN_NET_ADDRESS_H
#define SGN_NET_ADDRESS_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "ring/core/bytes.h"
#include "ring/core/err.h"
#include "ring/net/why.h"

#define SGN_ADDRESS_TEXT_BYTES 64u /* Longest text with its NUL. */

struct sgn_address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } at;
    socklen_t count;
};

/* SGN_ERR_CONFIG with a sentence that quotes the text. Port 0 is taken: "any free one". */
enum sgn_err sgn_address_parse(const char *text, struct sgn_address *address, struct sgn_why *why);

void sgn_address_format(const struct sgn_address *address, char text[SGN_ADDRESS_TEXT_BYTES]);

uint16_t sgn_address_port(const struct sgn_address *address);

#endif
