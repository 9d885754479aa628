/* bench/contend.h - clients that contend for one key: races of put --if-absent, and increments. */
#ifndef SGN_BENCH_CONTEND_H
#define SGN_BENCH_CONTEND_H

/* "kv-bench race ..." and "kv-bench increment ...": the exit status, 0 only if each race had one
 * winner, or the final value is the number of increments. argv[0] is the command. */
int sgn_race_main(int argc, char **argv);
int sgn_increment_main(int argc, char **argv);

#endif
