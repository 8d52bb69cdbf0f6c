/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * 64-bit code: the host CPU against a vCPU in long mode.
 */
#include "native.h"

int main(int argc, char **argv)
{
	opt.bits = 64;
	return native_main(argc, argv);
}
