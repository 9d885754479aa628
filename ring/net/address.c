#include "ring/net/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

/* Digits only, 0..65535: strtoul would take signs, blanks and hexadecimal. */
static bool port_parse(const char *text, uint16_t *port)
{
    uint32_t value = 0;
    size_t count = strlen(text);
    if (count == 0 || count > 5) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        value = value * 10 + (uint32_t)(text[i] - '0');
    }
    *port = (uint16_t)value;
    return value <= UINT16_MAX;
}

static enum sgn_err refuse(const char *text, const char *what, struct sgn_why *why)
{
    sgn_why_set(why, "\"%.80s\" is not an address: %s", text, what);
    return SGN_ERR_CONFIG;
}

enum sgn_err sgn_address_parse(const char *text, struct sgn_address *address, struct sgn_why *why)
{
    *address = (struct sgn_address){0};
    const char *colon = strrchr(text, ':');
    if (colon == NULL) {
        return refuse(text, "the port is missing (write 127.0.0.1:7301 or [::1]:7301)", why);
    }
    bool bracketed = text[0] == '[';
    const char *begin = bracketed ? text + 1 : text;
    const char *end = bracketed ? colon - 1 : colon;
    char host[SGN_ADDRESS_TEXT_BYTES];
    if (end < begin || (bracketed && *end != ']') || (size_t)(end - begin) >= sizeof(host)) {
        return refuse(text, "write 127.0.0.1:7301 or [::1]:7301", why);
    }
    memcpy(host, begin, (size_t)(end - begin));
    host[end - begin] = '\0';

    uint16_t port = 0;
    if (!port_parse(colon + 1, &port)) {
        return refuse(text, "the port must be a number from 0 to 65535", why);
    }
    if (bracketed && inet_pton(AF_INET6, host, &address->at.v6.sin6_addr) == 1) {
        address->at.v6.sin6_family = AF_INET6;
        address->at.v6.sin6_port = htons(port);
        address->count = sizeof(address->at.v6);
        return SGN_OK;
    }
    if (!bracketed && inet_pton(AF_INET, host, &address->at.v4.sin_addr) == 1) {
        address->at.v4.sin_family = AF_INET;
        address->at.v4.sin_port = htons(port);
        address->count = sizeof(address->at.v4);
        return SGN_OK;
    }
    return refuse(text,
                  bracketed ? "between the brackets must be an IPv6 address"
                            : "names are not looked up; write the IP address (IPv6 in brackets)",
                  why);
}

uint16_t sgn_address_port(const struct sgn_address *address)
{
    return ntohs(address->at.any.sa_family == AF_INET6 ? address->at.v6.sin6_port
                                                       : address->at.v4.sin_port);
}

void sgn_address_format(const struct sgn_address *address, char text[SGN_ADDRESS_TEXT_BYTES])
{
    char host[INET6_ADDRSTRLEN] = "?";
    bool is_v6 = address->at.any.sa_family == AF_INET6;
    const void *raw =
        is_v6 ? (const void *)&address->at.v6.sin6_addr : (const void *)&address->at.v4.sin_addr;
    (void)inet_ntop(is_v6 ? AF_INET6 : AF_INET, raw, host, sizeof(host));
    (void)snprintf(text,
                   SGN_ADDRESS_TEXT_BYTES,
                   is_v6 ? "[%s]:%u" : "%s:%u",
                   host,
                   (unsigned)sgn_address_port(address));
}
