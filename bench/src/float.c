/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Floating point: a matrix product in scalar and in AVX2 instructions, the
 * motion of five bodies, and a fast Fourier transform there and back.
 *   float matrix|avx2|nbody|fft COUNT
 */
#include <complex.h>
#include <immintrin.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N 256

static float a[N][N], b[N][N], c[N][N];

static void fill(void)
{
	for (int i = 0; i < N; i++)
		for (int j = 0; j < N; j++) {
			a[i][j] = (float)(i + j) / N;
			b[i][j] = (float)(i - j) / N;
		}
}

__attribute__((optimize("no-tree-vectorize")))
static void product_scalar(void)
{
	for (int i = 0; i < N; i++)
		for (int j = 0; j < N; j++) {
			float sum = 0;

			for (int k = 0; k < N; k++)
				sum += a[i][k] * b[k][j];
			c[i][j] = sum;
		}
}

__attribute__((target("avx2")))
static void product_avx2(void)
{
	for (int i = 0; i < N; i++)
		for (int j = 0; j < N; j += 16) {
			__m256 s0 = _mm256_setzero_ps(), s1 = _mm256_setzero_ps();

			for (int k = 0; k < N; k++) {
				__m256 f = _mm256_broadcast_ss(&a[i][k]);

				s0 = _mm256_add_ps(s0, _mm256_mul_ps(f, _mm256_loadu_ps(&b[k][j])));
				s1 = _mm256_add_ps(s1, _mm256_mul_ps(f, _mm256_loadu_ps(&b[k][j + 8])));
			}
			_mm256_storeu_ps(&c[i][j], s0);
			_mm256_storeu_ps(&c[i][j + 8], s1);
		}
}

static double matrix(int count, void (*product)(void))
{
	double sum = 0;

	fill();
	while (count--) {
		a[0][0] = (float)count;
		product();
		sum += (double)c[N / 2][N / 3] + (double)c[0][1];
	}
	return sum;
}

#define BODIES 5
static double pos[BODIES][3], vel[BODIES][3], mass[BODIES];

static void advance(double dt)
{
	for (int i = 0; i < BODIES; i++)
		for (int j = i + 1; j < BODIES; j++) {
			double d[3], sq = 0, mag;

			for (int k = 0; k < 3; k++) {
				d[k] = pos[i][k] - pos[j][k];
				sq += d[k] * d[k];
			}
			mag = dt / (sq * sqrt(sq));
			for (int k = 0; k < 3; k++) {
				vel[i][k] -= d[k] * mass[j] * mag;
				vel[j][k] += d[k] * mass[i] * mag;
			}
		}
	for (int i = 0; i < BODIES; i++)
		for (int k = 0; k < 3; k++)
			pos[i][k] += dt * vel[i][k];
}

static double nbody(int count)
{
	double sum = 0;

	for (int i = 0; i < BODIES; i++) {
		mass[i] = i ? 0.01 * i : 40;
		pos[i][0] = 5.0 * i;
		pos[i][1] = i & 1 ? 0.5 : -0.3;
		vel[i][1] = i ? 2.8 / sqrt(i) : 0;
		vel[i][2] = 0.01 * i;
	}
	while (count--)
		advance(0.001);
	for (int i = 0; i < BODIES; i++)
		sum += pos[i][0] + pos[i][1] + pos[i][2];
	return sum;
}

#define POINTS 65536
static double complex wave[POINTS], root[POINTS / 2];

static void transform(int inverse)
{
	for (unsigned i = 1, j = 0; i < POINTS; i++) {
		unsigned bit = POINTS >> 1;

		for (; j & bit; bit >>= 1)
			j ^= bit;
		j ^= bit;
		if (i < j) {
			double complex t = wave[i];

			wave[i] = wave[j];
			wave[j] = t;
		}
	}
	for (unsigned len = 2; len <= POINTS; len *= 2)
		for (unsigned i = 0; i < POINTS; i += len)
			for (unsigned k = 0; k < len / 2; k++) {
				double complex w = root[k * (POINTS / len)];
				double complex u = wave[i + k], v = wave[i + k + len / 2];
				double wi = inverse ? -cimag(w) : cimag(w);
				double re = creal(v) * creal(w) - cimag(v) * wi;
				double im = creal(v) * wi + cimag(v) * creal(w);

				wave[i + k] = CMPLX(creal(u) + re, cimag(u) + im);
				wave[i + k + len / 2] = CMPLX(creal(u) - re, cimag(u) - im);
			}
}

static double fft(int count)
{
	double worst = 0;

	for (unsigned i = 0; i < POINTS / 2; i++)
		root[i] = CMPLX(cos(2 * M_PI * i / POINTS), -sin(2 * M_PI * i / POINTS));
	for (unsigned i = 0; i < POINTS; i++)
		wave[i] = CMPLX(i % 1000, 0);
	while (count--) {
		transform(0);
		transform(1);
		for (unsigned i = 0; i < POINTS; i++)
			wave[i] /= POINTS;
	}
	for (unsigned i = 0; i < POINTS; i++)
		worst = fmax(worst, fabs(creal(wave[i]) - i % 1000));
	return worst > 1e-6 ? NAN : worst;
}

int main(int argc, char **argv)
{
	int count = argc == 3 ? atoi(argv[2]) : 0;
	double sum = NAN;

	if (count > 0 && !strcmp(argv[1], "matrix"))
		sum = matrix(count, product_scalar);
	else if (count > 0 && !strcmp(argv[1], "avx2"))
		sum = matrix(count, product_avx2);
	else if (count > 0 && !strcmp(argv[1], "nbody"))
		sum = nbody(count);
	else if (count > 0 && !strcmp(argv[1], "fft"))
		sum = fft(count);
	printf("%.12g\n", sum);
	return isnan(sum);
}
