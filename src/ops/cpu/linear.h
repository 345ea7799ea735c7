/* linear.h - the products of linear layers divided into pieces of work, for those that run other pieces beside them. */
#ifndef HONE_OPS_CPU_LINEAR_H
#define HONE_OPS_CPU_LINEAR_H

#include "ops/cpu/kernels.h"

enum { HONE_LINEAR_MOST_JOBS = 8 };

typedef struct hone_linear_run {
    hone_ops *ops;
    const hone_linear_job *jobs;
    int n_jobs;
    int64_t n_rows, rows_per_block, n_blocks;
    /* a piece is one group of panels of a job, one block of rows */
    int64_t first_piece[HONE_LINEAR_MOST_JOBS + 1], groups[HONE_LINEAR_MOST_JOBS];
    const hone_pair *inputs[HONE_LINEAR_MOST_JOBS]; /* of each job, class bf16 */
} hone_linear_run;

/* Whether so many rows can be divided at once; the class bf16 keeps a copy of them, in memory that has a limit. */
bool hone_linear_is_one_go(hone_ops *ops, const hone_linear_job *jobs, int n_jobs, int64_t n_rows);
/* Returns the number of pieces; at least one row and one job. They may run in any order, on any thread. */
int64_t hone_linear_divide(hone_linear_run *run, hone_ops *ops, const hone_linear_job *jobs, int n_jobs,
                           int64_t n_rows);
void hone_linear_piece(void *run, int64_t piece, int thread);

#endif
