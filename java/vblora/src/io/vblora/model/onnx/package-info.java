/**
 * Models in ONNX graphs: what a graph computes is recognised, and described as the configuration and the weights of a
 * Hugging Face folder describe it. {@link io.vblora.model.onnx.OnnxBert} is the way in.
 */
package io.vblora.model.onnx;
