/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The commands of anykvm. Each takes what follows its name; gives the exit status. */
#ifndef VMM_CLI_COMMANDS_H
#define VMM_CLI_COMMANDS_H

int command_run(int argc, char **argv);
int command_exec(int argc, char **argv);
int command_info(int argc, char **argv);
int command_image(int argc, char **argv);
int command_ps(int argc, char **argv);
int command_stop(int argc, char **argv);
int command_qmp(int argc, char **argv);
int command_console(int argc, char **argv);
int command_completion(int argc, char **argv);
int command_manual(int argc, char **argv);

/* The help of each, on standard output. */
void help_run(void);
void help_exec(void);
void help_info(void);
void help_image(void);
void help_ps(void);
void help_stop(void);
void help_qmp(void);
void help_console(void);
void help_completion(void);
void help_manual(void);

#endif
