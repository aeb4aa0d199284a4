/*
 * Statistics of the freestanding guests: lines NAME_samples, NAME_min and so on.
 */
#ifndef HPVM_TEST_SAMPLES_H
#define HPVM_TEST_SAMPLES_H

#include "kernel.h"

static void sort(uint32_t *samples, int count)
{
	int gap, i, j;
	uint32_t x;

	for (gap = count / 2; gap; gap /= 2) {
		for (i = gap; i < count; i++) {
			x = samples[i];
			for (j = i; j >= gap && samples[j - gap] > x; j -= gap)
				samples[j] = samples[j - gap];
			samples[j] = x;
		}
	}
}

static void report(const char *name, uint32_t *samples, int count)
{
	sort(samples, count);
	put_result(name, "_samples", count);
	put_result(name, "_min", samples[0]);
	put_result(name, "_median", samples[count / 2]);
	put_result(name, "_p99", samples[count * 99 / 100]);
	put_result(name, "_max", samples[count - 1]);
}

#endif
