/* commands.h - the commands, one file each (cmd_<name>.c), listed in main.c's table. */
#ifndef HONE_CLI_COMMANDS_H
#define HONE_CLI_COMMANDS_H

#include "cli/options.h"

extern const hone_command hone_command_report;

#endif
