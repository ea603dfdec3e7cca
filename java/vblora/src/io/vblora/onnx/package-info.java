/**
 * Reading ONNX files: their graph, their tensors, and what small values of the graph are for given inputs. Messages are
 * read by the field numbers of onnx.proto. What goes beyond the standard (operators of other domains, functions,
 * subgraphs) is not evaluated, and asking for a value that depends on it is refused.
 */
package io.vblora.onnx;
