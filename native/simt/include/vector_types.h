// CUDA's short vectors: same names, sizes and alignments.
#pragma once

#define SIMT_VECTOR1(T, name) \
  struct name##1 { T x; };    \
  constexpr name##1 make_##name##1(T x) { return {x}; }
#define SIMT_VECTOR2(T, name, alignment)         \
  struct alignas(alignment) name##2 { T x, y; }; \
  constexpr name##2 make_##name##2(T x, T y) { return {x, y}; }
#define SIMT_VECTOR3(T, name)    \
  struct name##3 { T x, y, z; }; \
  constexpr name##3 make_##name##3(T x, T y, T z) { return {x, y, z}; }
#define SIMT_VECTOR4(T, name, alignment)               \
  struct alignas(alignment) name##4 { T x, y, z, w; }; \
  constexpr name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
#define SIMT_VECTORS(T, name)          \
  SIMT_VECTOR1(T, name)                \
  SIMT_VECTOR2(T, name, 2 * sizeof(T)) \
  SIMT_VECTOR3(T, name)                \
  SIMT_VECTOR4(T, name, (4 * sizeof(T) < 16 ? 4 * sizeof(T) : 16))

SIMT_VECTORS(signed char, char)
SIMT_VECTORS(unsigned char, uchar)
SIMT_VECTORS(short, short)
SIMT_VECTORS(unsigned short, ushort)
SIMT_VECTORS(int, int)
SIMT_VECTORS(unsigned int, uint)
SIMT_VECTORS(long, long)
SIMT_VECTORS(unsigned long, ulong)
SIMT_VECTORS(long long, longlong)
SIMT_VECTORS(unsigned long long, ulonglong)
SIMT_VECTORS(float, float)
SIMT_VECTORS(double, double)

#undef SIMT_VECTORS
#undef SIMT_VECTOR1
#undef SIMT_VECTOR2
#undef SIMT_VECTOR3
#undef SIMT_VECTOR4

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
  constexpr dim3(uint3 v) : x(v.x), y(v.y), z(v.z) {}
  constexpr operator uint3() const { return {x, y, z}; }
};
