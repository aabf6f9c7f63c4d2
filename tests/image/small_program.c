/* SPDX-License-Identifier: MIT */
/* A real program for elf_test: linked -static and -static-pie, never run. */
#include <stdio.h>

int small_counter = 7;

__attribute__((noinline)) int small_function(int n)
{
	return n + small_counter;
}

int main(int argc, char **argv)
{
	return printf("%d\n", small_function(argc)) < 0;
}
