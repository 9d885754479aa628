/* bench/failover.h - strong reads at a fixed rate while the witness fleet is killed and started. */
#ifndef SGN_BENCH_FAILOVER_H
#define SGN_BENCH_FAILOVER_H

/* "kv-bench failover ...": the exit status, 0 only if no read failed and the fast path came back.
 * argv[0] is the command. */
int sgn_failover_main(int argc, char **argv);

#endif
