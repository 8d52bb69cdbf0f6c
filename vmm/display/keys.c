/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names and numbers of keys: QMP's QKeyCode (qapi/ui.json of QEMU), scan codes
 * of set 1, and X11's keysyms (X11 protocol, appendix A, "Keysym Encoding").
 */
#include <linux/input-event-codes.h>
#include <string.h>

#include "keys.h"

static const struct {
	const char *name;
	u16 code;
} names[] = {
	{ "esc", KEY_ESC }, { "1", KEY_1 }, { "2", KEY_2 }, { "3", KEY_3 }, { "4", KEY_4 },
	{ "5", KEY_5 }, { "6", KEY_6 }, { "7", KEY_7 }, { "8", KEY_8 }, { "9", KEY_9 },
	{ "0", KEY_0 }, { "minus", KEY_MINUS }, { "equal", KEY_EQUAL },
	{ "backspace", KEY_BACKSPACE }, { "tab", KEY_TAB }, { "q", KEY_Q }, { "w", KEY_W },
	{ "e", KEY_E }, { "r", KEY_R }, { "t", KEY_T }, { "y", KEY_Y }, { "u", KEY_U },
	{ "i", KEY_I }, { "o", KEY_O }, { "p", KEY_P }, { "bracket_left", KEY_LEFTBRACE },
	{ "bracket_right", KEY_RIGHTBRACE }, { "ret", KEY_ENTER }, { "ctrl", KEY_LEFTCTRL },
	{ "a", KEY_A }, { "s", KEY_S }, { "d", KEY_D }, { "f", KEY_F }, { "g", KEY_G },
	{ "h", KEY_H }, { "j", KEY_J }, { "k", KEY_K }, { "l", KEY_L },
	{ "semicolon", KEY_SEMICOLON }, { "apostrophe", KEY_APOSTROPHE },
	{ "grave_accent", KEY_GRAVE }, { "shift", KEY_LEFTSHIFT }, { "backslash", KEY_BACKSLASH },
	{ "z", KEY_Z }, { "x", KEY_X }, { "c", KEY_C }, { "v", KEY_V }, { "b", KEY_B },
	{ "n", KEY_N }, { "m", KEY_M }, { "comma", KEY_COMMA }, { "dot", KEY_DOT },
	{ "slash", KEY_SLASH }, { "shift_r", KEY_RIGHTSHIFT }, { "asterisk", KEY_KPASTERISK },
	{ "kp_multiply", KEY_KPASTERISK }, { "alt", KEY_LEFTALT }, { "spc", KEY_SPACE },
	{ "caps_lock", KEY_CAPSLOCK }, { "f1", KEY_F1 }, { "f2", KEY_F2 }, { "f3", KEY_F3 },
	{ "f4", KEY_F4 }, { "f5", KEY_F5 }, { "f6", KEY_F6 }, { "f7", KEY_F7 }, { "f8", KEY_F8 },
	{ "f9", KEY_F9 }, { "f10", KEY_F10 }, { "f11", KEY_F11 }, { "f12", KEY_F12 },
	{ "num_lock", KEY_NUMLOCK }, { "scroll_lock", KEY_SCROLLLOCK }, { "kp_7", KEY_KP7 },
	{ "kp_8", KEY_KP8 }, { "kp_9", KEY_KP9 }, { "kp_subtract", KEY_KPMINUS },
	{ "kp_4", KEY_KP4 }, { "kp_5", KEY_KP5 }, { "kp_6", KEY_KP6 }, { "kp_add", KEY_KPPLUS },
	{ "kp_1", KEY_KP1 }, { "kp_2", KEY_KP2 }, { "kp_3", KEY_KP3 }, { "kp_0", KEY_KP0 },
	{ "kp_decimal", KEY_KPDOT }, { "less", KEY_102ND }, { "kp_enter", KEY_KPENTER },
	{ "ctrl_r", KEY_RIGHTCTRL }, { "kp_divide", KEY_KPSLASH }, { "print", KEY_SYSRQ },
	{ "sysrq", KEY_SYSRQ }, { "alt_r", KEY_RIGHTALT }, { "home", KEY_HOME }, { "up", KEY_UP },
	{ "pgup", KEY_PAGEUP }, { "left", KEY_LEFT }, { "right", KEY_RIGHT }, { "end", KEY_END },
	{ "down", KEY_DOWN }, { "pgdn", KEY_PAGEDOWN }, { "insert", KEY_INSERT },
	{ "delete", KEY_DELETE }, { "pause", KEY_PAUSE }, { "meta_l", KEY_LEFTMETA },
	{ "meta_r", KEY_RIGHTMETA }, { "menu", KEY_COMPOSE }, { "compose", KEY_COMPOSE },
	{ "kp_equals", KEY_KPEQUAL }, { "power", KEY_POWER }, { "sleep", KEY_SLEEP },
	{ "wake", KEY_WAKEUP }, { "ro", KEY_RO }, { "yen", KEY_YEN },
	{ "henkan", KEY_HENKAN }, { "muhenkan", KEY_MUHENKAN },
	{ "katakanahiragana", KEY_KATAKANAHIRAGANA },
};

u16 key_of_name(const char *qcode)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(names[i].name, qcode))
			return names[i].code;
	return 0;
}

u16 key_of_number(unsigned int number)
{
	static const struct {
		u8 scan;
		u16 code;
	} extended[] = {
		{ 0x1c, KEY_KPENTER }, { 0x1d, KEY_RIGHTCTRL }, { 0x35, KEY_KPSLASH },
		{ 0x37, KEY_SYSRQ }, { 0x38, KEY_RIGHTALT }, { 0x47, KEY_HOME }, { 0x48, KEY_UP },
		{ 0x49, KEY_PAGEUP }, { 0x4b, KEY_LEFT }, { 0x4d, KEY_RIGHT }, { 0x4f, KEY_END },
		{ 0x50, KEY_DOWN }, { 0x51, KEY_PAGEDOWN }, { 0x52, KEY_INSERT },
		{ 0x53, KEY_DELETE }, { 0x5b, KEY_LEFTMETA }, { 0x5c, KEY_RIGHTMETA },
		{ 0x5d, KEY_COMPOSE },
	};
	unsigned int i;

	/* Linux's codes of the main keys are their scan codes */
	if (number < 0x80)
		return number <= KEY_KPDOT || (number >= KEY_102ND && number <= KEY_F12) ?
			(u16)number : 0;
	for (i = 0; i < ARRAY_SIZE(extended); i++)
		if (extended[i].scan == (number & 0x7f))
			return extended[i].code;
	return 0;
}

u16 button_of_name(const char *name)
{
	static const struct {
		const char *name;
		u16 code;
	} buttons[] = {
		{ "left", BTN_LEFT }, { "middle", BTN_MIDDLE }, { "right", BTN_RIGHT },
		{ "side", BTN_SIDE }, { "extra", BTN_EXTRA },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(buttons); i++)
		if (!strcmp(buttons[i].name, name))
			return buttons[i].code;
	return 0;
}

/* --- keysyms ---------------------------------------------------------------------------- */

/* What is printed on the keys, from code `first` on: without and with shift. */
static const struct {
	u16 first;
	const char *plain, *shifted;
} printed[] = {
	{ KEY_1, "1234567890-=", "!@#$%^&*()_+" },
	{ KEY_Q, "qwertyuiop[]", "QWERTYUIOP{}" },
	{ KEY_A, "asdfghjkl;'`", "ASDFGHJKL:\"~" },
	{ KEY_BACKSLASH, "\\zxcvbnm,./", "|ZXCVBNM<>?" },
	{ KEY_SPACE, " ", " " },
};

static const struct {
	u16 keysym, code;
} others[] = {
	{ 0xff08, KEY_BACKSPACE }, { 0xff09, KEY_TAB }, { 0xff0d, KEY_ENTER },
	{ 0xff13, KEY_PAUSE }, { 0xff14, KEY_SCROLLLOCK }, { 0xff15, KEY_SYSRQ },
	{ 0xff1b, KEY_ESC }, { 0xff50, KEY_HOME }, { 0xff51, KEY_LEFT }, { 0xff52, KEY_UP },
	{ 0xff53, KEY_RIGHT }, { 0xff54, KEY_DOWN }, { 0xff55, KEY_PAGEUP },
	{ 0xff56, KEY_PAGEDOWN }, { 0xff57, KEY_END }, { 0xff61, KEY_SYSRQ },
	{ 0xff63, KEY_INSERT }, { 0xff67, KEY_COMPOSE }, { 0xff7f, KEY_NUMLOCK },
	{ 0xff8d, KEY_KPENTER }, { 0xff95, KEY_KP7 }, { 0xff96, KEY_KP4 }, { 0xff97, KEY_KP8 },
	{ 0xff98, KEY_KP6 }, { 0xff99, KEY_KP2 }, { 0xff9a, KEY_KP9 }, { 0xff9b, KEY_KP3 },
	{ 0xff9c, KEY_KP1 }, { 0xff9d, KEY_KP5 }, { 0xff9e, KEY_KP0 }, { 0xff9f, KEY_KPDOT },
	{ 0xffaa, KEY_KPASTERISK }, { 0xffab, KEY_KPPLUS }, { 0xffad, KEY_KPMINUS },
	{ 0xffae, KEY_KPDOT }, { 0xffaf, KEY_KPSLASH }, { 0xffb0, KEY_KP0 }, { 0xffb1, KEY_KP1 },
	{ 0xffb2, KEY_KP2 }, { 0xffb3, KEY_KP3 }, { 0xffb4, KEY_KP4 }, { 0xffb5, KEY_KP5 },
	{ 0xffb6, KEY_KP6 }, { 0xffb7, KEY_KP7 }, { 0xffb8, KEY_KP8 }, { 0xffb9, KEY_KP9 },
	{ 0xffc8, KEY_F11 }, { 0xffc9, KEY_F12 }, { 0xffe1, KEY_LEFTSHIFT },
	{ 0xffe2, KEY_RIGHTSHIFT }, { 0xffe3, KEY_LEFTCTRL }, { 0xffe4, KEY_RIGHTCTRL },
	{ 0xffe5, KEY_CAPSLOCK }, { 0xffe7, KEY_LEFTMETA }, { 0xffe8, KEY_RIGHTMETA },
	{ 0xffe9, KEY_LEFTALT }, { 0xffea, KEY_RIGHTALT }, { 0xffeb, KEY_LEFTMETA },
	{ 0xffec, KEY_RIGHTMETA }, { 0xffff, KEY_DELETE }, { 0xfe03, KEY_RIGHTALT },
	{ 0xfe20, KEY_TAB },
};

u16 key_of_keysym(u32 keysym, bool *shift)
{
	unsigned int i;
	const char *at;

	*shift = false;
	for (i = 0; keysym >= ' ' && keysym <= '~' && i < ARRAY_SIZE(printed); i++) {
		at = strchr(printed[i].plain, (int)keysym);
		if (at)
			return (u16)(printed[i].first + (at - printed[i].plain));
		at = strchr(printed[i].shifted, (int)keysym);
		*shift = at;
		if (at)
			return (u16)(printed[i].first + (at - printed[i].shifted));
	}
	if (keysym >= 0xffbe && keysym <= 0xffc7)
		return (u16)(KEY_F1 + (keysym - 0xffbe));
	for (i = 0; i < ARRAY_SIZE(others); i++)
		if (others[i].keysym == keysym)
			return others[i].code;
	return 0;
}
