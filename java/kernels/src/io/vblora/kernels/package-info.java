/**
 * The native kernels of VB-LoRA over raw pointers, for any Java machine-learning stack: devices, streams, tensors and
 * one checked method per native op ({@link io.vblora.kernels.ops}). JavaCPP is the only dependency. Raw bindings,
 * generated from the C headers, are in {@link io.vblora.kernels.global} and {@link io.vblora.kernels.bindings}.
 */
package io.vblora.kernels;
