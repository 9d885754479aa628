/* node/options_table.h - the one table of what can be set: the file reader, the environment, the
 * flags, --help and the manual page are all made from it.
 *
 * X(section, name, type, field of struct sgn_config, least, most, default, text)
 * A default of NULL: must be given. An empty default: not set; the text says what happens then. */
#ifndef SGN_NODE_OPTIONS_TABLE_H
#define SGN_NODE_OPTIONS_TABLE_H

#define SGN_OPTION_TABLE(X)                                                                        \
    X(node, id, UINT, id, 1, 2147483647, NULL, "Own id, one of the members of the ring.")          \
    X(node,                                                                                        \
      listen,                                                                                      \
      ADDRESS,                                                                                     \
      listen,                                                                                      \
      0,                                                                                           \
      0,                                                                                           \
      "",                                                                                          \
      "Where peers and clients connect. Not set: the address of this member. Must have the port "  \
      "of the member's address unless something forwards it.")                                     \
    X(node,                                                                                        \
      admin,                                                                                       \
      ADMIN,                                                                                       \
      admin,                                                                                       \
      0,                                                                                           \
      0,                                                                                           \
      "off",                                                                                       \
      "Where health, metrics and status are served over HTTP. Port 0 takes any free one.")         \
    X(node,                                                                                        \
      data,                                                                                        \
      PATH,                                                                                        \
      data,                                                                                        \
      0,                                                                                           \
      0,                                                                                           \
      NULL,                                                                                        \
      "Data directory; made when missing, its parent must be there.")                              \
    X(node,                                                                                        \
      ready_file,                                                                                  \
      PATH,                                                                                        \
      ready_file,                                                                                  \
      0,                                                                                           \
      0,                                                                                           \
      "",                                                                                          \
      "File to write once requests are taken: pid, node, listen and admin, one to a line. "        \
      "Removed at start and at a clean stop.")                                                     \
    X(node,                                                                                        \
      log_level,                                                                                   \
      LEVEL,                                                                                       \
      log_level,                                                                                   \
      0,                                                                                           \
      0,                                                                                           \
      "info",                                                                                      \
      "Least level that is logged. SIGHUP reads it anew.")                                         \
    X(node,                                                                                        \
      connections_max,                                                                             \
      UINT,                                                                                        \
      connections_max,                                                                             \
      1,                                                                                           \
      100000,                                                                                      \
      "1024",                                                                                      \
      "Client connections held at once; further ones are refused. Peers do not count.")            \
    X(node,                                                                                        \
      requests_max,                                                                                \
      UINT,                                                                                        \
      requests_max,                                                                                \
      1,                                                                                           \
      65536,                                                                                       \
      "256",                                                                                       \
      "Requests one client connection may have under way; further ones are answered with busy.")   \
    X(node,                                                                                        \
      memory,                                                                                      \
      SIZE,                                                                                        \
      memory_bytes,                                                                                \
      134217728,                                                                                   \
      1099511627776,                                                                               \
      "512M",                                                                                      \
      "Memory for values of requests under way and of keys at work lately; past it requests are "  \
      "answered with busy.")                                                                       \
    X(node,                                                                                        \
      witness_memory,                                                                              \
      SIZE,                                                                                        \
      witness_memory_bytes,                                                                        \
      65536,                                                                                       \
      34359738368,                                                                                 \
      "64M",                                                                                       \
      "Memory for marks, 64 bytes a key, if the ring makes this node a witness as well "           \
      "(kv-cli ring witness add --inside).")                                                       \
    X(node,                                                                                        \
      drain,                                                                                       \
      TIME,                                                                                        \
      drain_ms,                                                                                    \
      0,                                                                                           \
      600000,                                                                                      \
      "5s",                                                                                        \
      "How long a stopping node waits for requests under way.")                                    \
    X(node,                                                                                        \
      hints_max,                                                                                   \
      UINT,                                                                                        \
      hints_max,                                                                                   \
      0,                                                                                           \
      100000000,                                                                                   \
      "1000000",                                                                                   \
      "Values kept for nodes that are down; past it anti-entropy mends what is missed.")           \
    X(ring, name, NAME, ring_name, 0, 0, NULL, "Name of the ring; the same on all members.")       \
    X(ring,                                                                                        \
      partitions,                                                                                  \
      POWER,                                                                                       \
      partitions,                                                                                  \
      8,                                                                                           \
      16384,                                                                                       \
      "256",                                                                                       \
      "Equal parts of the data; fixed when the ring is made.")                                     \
    X(ring, replicas, UINT, replicas, 1, 7, "3", "Members that hold each partition.")              \
    X(store,                                                                                       \
      sync,                                                                                        \
      SWITCH,                                                                                      \
      sync,                                                                                        \
      0,                                                                                           \
      0,                                                                                           \
      "yes",                                                                                       \
      "Whether a write is on the disk before it is acknowledged. no is for measuring only: a "     \
      "power cut then loses acknowledged writes.")                                                 \
    X(store,                                                                                       \
      disk_reserve,                                                                                \
      SIZE,                                                                                        \
      disk_reserve_bytes,                                                                          \
      1048576,                                                                                     \
      1099511627776,                                                                               \
      "64M",                                                                                       \
      "Free space that writes leave on the disk.")                                                 \
    X(store,                                                                                       \
      block_cache,                                                                                 \
      SIZE,                                                                                        \
      block_cache_bytes,                                                                           \
      1048576,                                                                                     \
      1099511627776,                                                                               \
      "256M",                                                                                      \
      "Memory for blocks of the database.")                                                        \
    X(store,                                                                                       \
      read_threads,                                                                                \
      UINT,                                                                                        \
      read_threads,                                                                                \
      1,                                                                                           \
      64,                                                                                          \
      "2",                                                                                         \
      "Threads for reads that have to wait for the disk.")                                         \
    X(timing,                                                                                      \
      request,                                                                                     \
      TIME,                                                                                        \
      request_ms,                                                                                  \
      50,                                                                                          \
      600000,                                                                                      \
      "2s",                                                                                        \
      "A request is answered, if only with an error, by then.")                                    \
    X(timing,                                                                                      \
      replica,                                                                                     \
      TIME,                                                                                        \
      replica_ms,                                                                                  \
      10,                                                                                          \
      600000,                                                                                      \
      "500ms",                                                                                     \
      "A replica that has not answered by then is stood in for by another node.")                  \
    X(timing,                                                                                      \
      heartbeat,                                                                                   \
      TIME,                                                                                        \
      heartbeat_ms,                                                                                \
      20,                                                                                          \
      60000,                                                                                       \
      "200ms",                                                                                     \
      "Between two heartbeats to a peer.")                                                         \
    X(timing,                                                                                      \
      suspect,                                                                                     \
      TIME,                                                                                        \
      suspect_ms,                                                                                  \
      50,                                                                                          \
      600000,                                                                                      \
      "1s",                                                                                        \
      "A peer not heard for this long is taken for down.")                                         \
    X(timing,                                                                                      \
      tree,                                                                                        \
      TIME,                                                                                        \
      tree_ms,                                                                                     \
      50,                                                                                          \
      86400000,                                                                                    \
      "5s",                                                                                        \
      "Between two comparisons of hash trees with a peer.")                                        \
    X(timing,                                                                                      \
      out,                                                                                         \
      TIME,                                                                                        \
      out_ms,                                                                                      \
      500,                                                                                         \
      3600000,                                                                                     \
      "5s",                                                                                        \
      "A replica down for this long is listed as out; it catches up when it is back.")             \
    X(timing,                                                                                      \
      tombstone,                                                                                   \
      TIME,                                                                                        \
      tombstone_ms,                                                                                \
      0,                                                                                           \
      2000000000,                                                                                  \
      "1h",                                                                                        \
      "Deleted keys of ordered buckets are remembered at least so long; 0: for ever.")             \
    X(timing,                                                                                      \
      resolve,                                                                                     \
      TIME,                                                                                        \
      resolve_ms,                                                                                  \
      50,                                                                                          \
      60000,                                                                                       \
      "1s",                                                                                        \
      "A write that its coordinator left unfinished is taken up after this.")

/* Of each [member.ID] section; fields of struct sgn_member. */
#define SGN_MEMBER_OPTION_TABLE(X)                                                                 \
    X(member, address, ADDRESS, address, 0, 0, NULL, "Where this member is reached.")              \
    X(member,                                                                                      \
      weight,                                                                                      \
      UINT,                                                                                        \
      weight,                                                                                      \
      1,                                                                                           \
      1000,                                                                                        \
      "1",                                                                                         \
      "Its share of the data: weight over the sum of all weights.")                                \
    X(member, zone, UINT, zone, 0, 63, "0", "Failure zone; replicas spread over zones first.")

#endif
