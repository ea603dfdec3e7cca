package io.vblora.model.onnx;

import io.vblora.InputException;
import io.vblora.onnx.OnnxEvaluator;
import io.vblora.onnx.OnnxFile;
import io.vblora.onnx.OnnxNode;
import io.vblora.onnx.OnnxValue;
import io.vblora.onnx.OnnxValue.Kind;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.function.IntToDoubleFunction;
import java.util.function.Predicate;

/** Recognises linear layers and layer normalisations in a graph, whatever nodes an exporter made of them. */
final class OnnxModules {
    /** The longest row of nodes that do nothing; more are not looked through. */
    private static final int MAX_CHAIN = 32;

    private final OnnxFile file;
    private final OnnxEvaluator evaluator;
    private final Map<String, LayerNorm> layerNorms = new HashMap<>();

    OnnxModules(OnnxFile file, OnnxEvaluator evaluator) {
        this.file = file;
        this.evaluator = evaluator;
    }

    InputException refused(String value, String found, String expected) {
        OnnxNode node = file.producer(value);
        return node != null ? node.refused(found, expected) : new InputException(file.path(), value, found, expected);
    }

    /** The value behind casts between floats and nodes that do nothing. */
    String behind(String value) {
        return back(value, this::passes);
    }

    /** The value behind those and changes of shape that leave rows as they are. */
    private String behindRows(String value) {
        return back(value, node -> passes(node) || List.of("Reshape", "Flatten", "Squeeze", "Unsqueeze")
                .contains(node.op()) && lastSize(node.input(0)) == lastSize(node.outputs().get(0)));
    }

    private long lastSize(String value) {
        return evaluator.value(value).lastSize();
    }

    /** Whether a node gives the numbers that it reads. */
    private boolean passes(OnnxNode node) {
        return switch (node.op()) {
            case "Identity", "Dropout" -> true;
            case "Cast", "CastLike" -> evaluator.value(node.input(0)).kind() == Kind.FLOAT
                    && evaluator.value(node.outputs().get(0)).kind() == Kind.FLOAT;
            default -> false;
        };
    }

    private String back(String value, Predicate<OnnxNode> through) {
        String at = value;
        OnnxNode node = file.producer(at);
        for (int i = 0; i < MAX_CHAIN && node != null && node.outputs().get(0).equals(at) && through.test(node); i++) {
            at = node.input(0);
            node = file.producer(at);
        }
        return at;
    }

    /** A constant of the file, behind a cast or, for a matrix, transposed. */
    record Constant(String name, boolean transposed) {}

    /** Null if the value is no constant. */
    Constant constant(String value) {
        boolean transposed = false;
        String at = behind(value);
        for (OnnxNode node = file.producer(at); node != null && node.op().equals("Transpose")
                && evaluator.value(at).rank() == 2; node = file.producer(at)) {
            transposed = !transposed;
            at = behind(node.input(0));
        }
        return file.contains(at) ? new Constant(at, transposed) : null;
    }

    /** The constant vector of some size that a value is; null if it is none. */
    private String vector(String value, long size) {
        Constant constant = constant(value);
        OnnxValue vector = evaluator.value(value);
        return constant == null || vector.elements() != size || vector.lastSize() != size ? null : constant.name;
    }

    /**
     * A linear layer.
     *
     * @param input what it reads
     * @param inputSize columns of the weight
     * @param weight the file's name of the matrix
     * @param transposed whether the file has it as [in, out]
     * @param bias the file's name, null if there is none
     */
    record Linear(String input, int inputSize, int outputSize, String weight, boolean transposed,
            String bias) {}

    /** The linear layer that gives a value; null if none does. */
    Linear linear(String value) {
        OnnxNode node = file.producer(behindRows(value));
        if (node == null || !evaluator.value(value).hidden()) {
            return null;
        }
        return switch (node.op()) {
            case "MatMul" -> linear(node, constant(node.input(1)), false);
            case "Gemm" -> gemm(node);
            case "Add" -> {
                Linear left = biased(node.input(0), node.input(1));
                yield left != null ? left : biased(node.input(1), node.input(0));
            }
            default -> null;
        };
    }

    private Linear linear(OnnxNode node, Constant weight, boolean transB) {
        long[] shape = evaluator.value(node.input(1)).shape();
        if (weight == null || shape.length != 2) {
            return null;
        }
        // MatMul multiplies by [in, out], the transpose of what linear layers keep.
        return new Linear(behindRows(node.input(0)), (int) shape[transB ? 1 : 0], (int) shape[transB ? 0 : 1],
                weight.name, weight.transposed == transB, null);
    }

    private Linear gemm(OnnxNode node) {
        boolean plain = node.attribute("alpha", Float.class, 1f) == 1 && node.attribute("beta", Float.class, 1f) == 1
                && node.integer("transA", 0L) == 0;
        Linear layer = linear(node, constant(node.input(1)), node.integer("transB", 0L) != 0);
        if (layer == null || !plain) {
            return null;
        }
        return node.hasInput(2) ? withBias(layer, node.input(2)) : layer;
    }

    private Linear biased(String product, String bias) {
        OnnxNode node = file.producer(behindRows(product));
        if (node == null || !(node.op().equals("MatMul") || node.op().equals("Gemm"))) {
            return null;
        }
        Linear layer = linear(product);
        return layer == null || layer.bias != null ? null : withBias(layer, bias);
    }

    private Linear withBias(Linear layer, String bias) {
        String vector = vector(bias, layer.outputSize);
        return vector == null ? null
                : new Linear(layer.input, layer.inputSize, layer.outputSize, layer.weight, layer.transposed, vector);
    }

    /** The linear layer with a bias that gives a value. */
    Linear required(String value, int inputSize, int outputSize) {
        Linear layer = linear(value);
        if (layer == null || layer.bias == null) {
            throw refused(value, layer == null ? "something else" : "no bias", "a linear layer with a bias");
        }
        if (layer.inputSize != inputSize || layer.outputSize != outputSize) {
            throw refused(value, "a layer from " + layer.inputSize + " to " + layer.outputSize + " numbers",
                    "one from " + inputSize + " to " + outputSize);
        }
        return layer;
    }

    /** A layer normalisation over the last dimension. */
    record LayerNorm(String input, String weight, String bias, double epsilon) {}

    /** The layer normalisation that gives a value; null if none does. */
    LayerNorm layerNorm(String value) {
        if (!layerNorms.containsKey(value)) {
            layerNorms.put(value, findLayerNorm(value));
        }
        return layerNorms.get(value);
    }

    private LayerNorm findLayerNorm(String value) {
        OnnxNode node = file.producer(behind(value));
        if (node == null || !evaluator.value(value).hidden()) {
            return null;
        }
        long size = evaluator.value(value).lastSize();
        if (node.op().equals("LayerNormalization")) {
            long axis = node.integer("axis", -1L);
            if (axis != -1 && axis != evaluator.value(value).rank() - 1) {
                throw node.refused("axis " + axis, "the last");
            }
            return new LayerNorm(behind(node.input(0)), requiredVector(node, 1, size), requiredVector(node, 2, size),
                    node.attribute("epsilon", Float.class, 1e-5f));
        }
        // ((x - mean) / sqrt(variance + epsilon)) * weight + bias
        String bias = node.op().equals("Add") ? operand(node, size) : null;
        OnnxNode scaled = bias == null ? null : file.producer(behind(other(node, bias)));
        String weight = scaled != null && scaled.op().equals("Mul") ? operand(scaled, size) : null;
        OnnxNode normal = weight == null ? null : file.producer(behind(other(scaled, weight)));
        if (normal == null || !(normal.op().equals("Div") || normal.op().equals("Mul"))) {
            return null;
        }
        int first = isDifference(normal.input(0)) ? 0 : 1;
        if (!isDifference(normal.input(first))) {
            return null;
        }
        String input = behind(file.producer(behind(normal.input(first))).input(0));
        Double found = epsilon(normal.input(1 - first), input);
        if (found == null || !normalises(value, input, weight, bias, found)) {
            return null;
        }
        return new LayerNorm(input, constant(weight).name, constant(bias).name, found);
    }

    private boolean isDifference(String value) {
        OnnxNode node = file.producer(behind(value));
        return node != null && node.op().equals("Sub");
    }

    private String requiredVector(OnnxNode node, int input, long size) {
        String vector = vector(node.input(input), size);
        if (vector == null) {
            throw node.refused("input " + input + " that is not a constant of " + size + " numbers", "one");
        }
        return vector;
    }

    /** The input of a node that is a constant vector; null if there is none. */
    private String operand(OnnxNode node, long size) {
        return node.inputs().stream().filter(input -> vector(input, size) != null).findFirst().orElse(null);
    }

    private static String other(OnnxNode node, String input) {
        return node.input(node.input(0).equals(input) ? 1 : 0);
    }

    /** The one constant added between two values; null if there is not just one. */
    private Double epsilon(String deviation, String input) {
        Double found = null;
        Deque<String> open = new ArrayDeque<>(List.of(deviation));
        for (int steps = 0; !open.isEmpty() && steps < 20; steps++) {
            String at = behind(open.pop());
            OnnxNode node = file.producer(at);
            if (at.equals(input) || node == null) {
                continue;
            }
            for (String operand : node.inputs()) {
                if (evaluator.value(operand).hidden()) {
                    open.push(operand);
                } else if (node.op().equals("Add") && evaluator.value(operand).isNumber()) {
                    if (found != null) {
                        return null;
                    }
                    found = evaluator.value(operand).data()[0];
                }
            }
        }
        return found;
    }

    /** Whether the graph normalises numbers of about the size of sqrt(epsilon), where that counts most. */
    private boolean normalises(String value, String input, String weight, String bias, double eps) {
        OnnxValue w = evaluator.value(weight);
        OnnxValue b = evaluator.value(bias);
        if (!w.isKnown() || !b.isKnown() || !(eps > 0)) {
            return false;
        }
        Random random = new Random(1);
        double[] x = probe(input, i -> (random.nextDouble() - 0.5) * Math.sqrt(12 * eps));
        double[] y = evaluator.evaluate(value, Map.of(input, OnnxValue.of(Kind.FLOAT, x,
                evaluator.value(input).shape()))).data();
        int n = w.data().length;
        for (int row = 0; row < x.length; row += n) {
            double mean = Arrays.stream(x, row, row + n).average().orElseThrow();
            double variance = Arrays.stream(x, row, row + n).map(v -> (v - mean) * (v - mean)).average().orElseThrow();
            for (int i = 0; i < n; i++) {
                double normal = (x[row + i] - mean) / Math.sqrt(variance + eps);
                if (!near(normal * w.data()[i] + b.data()[i], y[row + i], 1e-6)) {
                    return false;
                }
            }
        }
        return true;
    }

    /** Numbers for all places of a value, in row-major order: what a part of the graph is tried with. */
    double[] probe(String value, IntToDoubleFunction numbers) {
        OnnxValue shape = evaluator.value(value);
        if (shape.elements() > OnnxValue.MAX_NUMBERS) {
            throw refused(value, shape + " for a few tokens", "at most " + OnnxValue.MAX_NUMBERS + " numbers");
        }
        double[] probe = new double[(int) shape.elements()];
        Arrays.setAll(probe, numbers);
        return probe;
    }

    static boolean near(double expected, double found, double tolerance) {
        return Math.abs(expected - found) <= tolerance * Math.max(1, Math.abs(expected));
    }

    /** The only hidden value for which stop holds on the way back. */
    String only(String value, Predicate<String> stop, String expected) {
        Set<String> sources = evaluator.sources(value, stop);
        String source = sources.iterator().next();
        if (sources.size() != 1 || !stop.test(source)) {
            throw refused(value, "a value made from " + sources, expected);
        }
        return source;
    }
}
