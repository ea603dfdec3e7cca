/**
 * Reading and writing tensors in safetensors files. Readers check everything before they give a tensor; writers replace
 * a file whole or not at all ({@link io.vblora.weights.AtomicFile}), or several files of a folder together
 * ({@link io.vblora.weights.FileGroup}).
 */
package io.vblora.weights;
