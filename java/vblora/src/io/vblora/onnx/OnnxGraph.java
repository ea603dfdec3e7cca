package io.vblora.onnx;

import java.util.List;
import java.util.Map;

/**
 * What an ONNX file holds.
 *
 * @param opset version of ONNX's own operators
 * @param nodes all but Constant nodes
 * @param inputs names, without those of initialisers
 * @param outputs names
 * @param tensors initialisers and the outputs of Constant nodes, by name
 */
record OnnxGraph(long opset, List<OnnxNode> nodes, List<String> inputs, List<String> outputs,
        Map<String, OnnxTensor> tensors) {}
