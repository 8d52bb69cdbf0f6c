/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * 32- and 16-bit code: the host CPU in compatibility mode (a far return to a
 * 32-bit segment, or to a 16-bit one in the local descriptor table) against a
 * vCPU in compatibility mode, or with --legacy in protected mode with PAE.
 */
#include "native.h"

int main(int argc, char **argv)
{
	opt.bits = 32;
	return native_main(argc, argv);
}
