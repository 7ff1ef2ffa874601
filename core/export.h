// VARVE_API marks what a shared varve exports; everything else stays hidden.
// VARVE_HD lets a function run on a GPU as well, where nvcc compiles it.
#pragma once

#if defined(VARVE_STATIC)
#define VARVE_API
#else
#define VARVE_API __attribute__((visibility("default")))
#endif

#if defined(__CUDACC__)
#define VARVE_HD __host__ __device__
#else
#define VARVE_HD
#endif
