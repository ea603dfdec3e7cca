/**
 * Reading ONNX files: their graph, their tensors, and what small values of the graph are for given inputs. Messages are
 * read by the field numbers of onnx.proto. What is beyond the standard (operators of other domains, functions,
 * subgraphs) is kept out of evaluation and refused where a value is asked for that depends on it.
 */
package io.vblora.onnx;
