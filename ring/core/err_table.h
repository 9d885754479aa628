/* ring/core/err_table.h - the one table of errors: name, code, retriable, sentence.
 * client/signet.h repeats the names and codes for the public; a test compares the two. */
#ifndef SGN_CORE_ERR_TABLE_H
#define SGN_CORE_ERR_TABLE_H

#define SGN_ERR_TABLE(X)                                                                           \
    X(SGN_OK, 0, 0, "done")                                                                        \
    X(SGN_ERR_NOT_FOUND, -1, 0, "no such key")                                                     \
    X(SGN_ERR_NO_BUCKET, -2, 0, "no such bucket")                                                  \
    X(SGN_ERR_BUCKET_EXISTS, -3, 0, "the bucket exists already with other properties")             \
    X(SGN_ERR_BUCKET_NOT_EMPTY, -4, 0, "the bucket still holds keys")                              \
    X(SGN_ERR_INVALID, -5, 0, "the request is not valid")                                          \
    X(SGN_ERR_TOO_LARGE, -6, 0, "the key, value or frame is larger than the ring takes")           \
    X(SGN_ERR_BUSY, -7, 1, "a bounded queue is full; try again in a moment")                       \
    X(SGN_ERR_TIMEOUT, -8, 1, "no answer within the deadline")                                     \
    X(SGN_ERR_UNAVAILABLE, -9, 1, "too few nodes are reachable; nothing was written")              \
    X(SGN_ERR_UNKNOWN, -10, 1, "the outcome is unknown: the write may or may not have been kept")  \
    X(SGN_ERR_CONDITION, -11, 0, "the condition of the write does not hold")                       \
    X(SGN_ERR_NOT_STRONG, -12, 0, "strong reads need an ordered bucket; this one is available")    \
    X(SGN_ERR_NOT_ORDERED, -13, 0, "conditional writes need an ordered bucket")                    \
    X(SGN_ERR_TOO_MANY_SIBLINGS,                                                                   \
      -14,                                                                                         \
      0,                                                                                           \
      "the key has too many concurrent values; read it and write one back with its context")       \
    X(SGN_ERR_DISK_FULL, -15, 1, "the node's disk is full; it refuses writes and still reads")     \
    X(SGN_ERR_IO, -16, 0, "the node's disk failed; its store takes no more writes")                \
    X(SGN_ERR_CORRUPT, -17, 0, "a stored record fails its checksum; this replica abstains")        \
    X(SGN_ERR_VERSION, -18, 0, "the other side speaks another protocol version")                   \
    X(SGN_ERR_WRONG_RING, -19, 0, "the other side belongs to another ring")                        \
    X(SGN_ERR_CLOCK, -20, 0, "a remote clock is too far ahead")                                    \
    X(SGN_ERR_NOMEM, -21, 1, "out of memory")                                                      \
    X(SGN_ERR_NETWORK, -22, 1, "the connection failed")                                            \
    X(SGN_ERR_CANCELLED, -23, 0, "cancelled by the caller")                                        \
    X(SGN_ERR_PROTOCOL, -24, 0, "the other side sent something that is not a valid message")       \
    X(SGN_ERR_CONFIG, -25, 0, "the configuration is not valid")                                    \
    X(SGN_ERR_FORMAT, -26, 0, "the data directory was written by a newer program")                 \
    X(SGN_ERR_IN_USE, -27, 0, "the address or directory is in use")                                \
    X(SGN_ERR_STALE_CURSOR, -28, 0, "the list cursor is not of this ring; start the list anew")    \
    X(SGN_ERR_UNSUPPORTED, -29, 0, "this build does not have that yet")                            \
    X(SGN_ERR_VOID, -30, 0, "the write took no effect and never will")                             \
    X(SGN_ERR_FENCED, -31, 1, "an earlier witness group is not fenced yet; ordered writes wait")   \
    X(SGN_ERR_NACK, -32, 1, "a higher ballot was promised")                                        \
    X(SGN_ERR_STALE, -33, 1, "the sender is in another epoch of the partition")

#endif
