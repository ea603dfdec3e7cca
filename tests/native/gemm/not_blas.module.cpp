// A library that exports no BLAS.
extern "C" __attribute__((visibility("default"))) int not_blas() { return 0; }
