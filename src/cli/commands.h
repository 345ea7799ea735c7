/* commands.h - the commands, one file each (cmd_<name>.c), listed in main.c's table. */
#ifndef HONE_CLI_COMMANDS_H
#define HONE_CLI_COMMANDS_H

#include "cli/options.h"

extern const hone_command hone_command_tokenize;
extern const hone_command hone_command_model_list;
extern const hone_command hone_command_model_pull;
extern const hone_command hone_command_template;
extern const hone_command hone_command_run;
extern const hone_command hone_command_chat;
extern const hone_command hone_command_score;
extern const hone_command hone_command_embed;
extern const hone_command hone_command_eval;
extern const hone_command hone_command_train;
extern const hone_command hone_command_bench;
extern const hone_command hone_command_doctor;
extern const hone_command hone_command_model_inspect;
extern const hone_command hone_command_model_export;
extern const hone_command hone_command_model_verify;
extern const hone_command hone_command_model_merge;
extern const hone_command hone_command_model_convert;
extern const hone_command hone_command_init;
extern const hone_command hone_command_check;
extern const hone_command hone_command_report;
extern const hone_command hone_command_compare;
extern const hone_command hone_command_runs;
extern const hone_command hone_command_runs_show;
extern const hone_command hone_command_serve;

#endif
