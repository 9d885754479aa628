/* ring/net/why.h - the sentence that goes with an error code.
 *
 * Codes are for programs; the place that met the error also says which message, field, address or
 * number it was, for a person. One sentence, no full stop. Always NUL-terminated; a longer sentence
 * is cut. NULL may be given wherever a `struct sgn_why *` is taken: nothing is then written. */
#ifndef SGN_NET_WHY_H
#define SGN_NET_WHY_H

#define SGN_WHY_BYTES 240u

struct sgn_why {
    char text[SGN_WHY_BYTES];
};

void sgn_why_set(struct sgn_why *why, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
