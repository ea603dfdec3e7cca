/** Matrix products on any device: OpenBLAS on the CPU. */
package io.vblora.blas;
