/**
 * Reading and writing tensors in safetensors files. Readers check everything before they give a tensor; writers replace
 * a file whole or not at all.
 */
package io.vblora.weights;
