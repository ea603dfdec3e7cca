package io.vblora.model.onnx;

import io.vblora.InputException;
import io.vblora.onnx.OnnxEvaluator;
import io.vblora.onnx.OnnxFile;
import io.vblora.onnx.OnnxNode;
import io.vblora.onnx.OnnxValue;
import io.vblora.onnx.OnnxValue.Kind;
import java.util.Arrays;
import java.util.Map;

/**
 * Recognises self-attention: softmax(q kᵀ / sqrt(head size) + mask) v by heads. Only its three layers, two products
 * and the softmax are looked for; what lies between them is run with probe numbers.
 */
final class OnnxAttention {
    /** Scores of padding are at least this low: e^-1000 is 0. */
    private static final double MASKED = -1000;
    /** Rounding to float16 of the constants that scale. */
    private static final double SCALE_TOLERANCE = 2e-3;

    private final OnnxFile file;
    private final OnnxEvaluator evaluator;
    private final OnnxModules modules;

    private final int heads;
    private final String query;
    private final String key;
    private final String value;

    /**
     * Goes back from a value.
     *
     * @param context what attention gives, [batch, length, hidden]
     * @throws InputException if it is not given by such an attention
     */
    OnnxAttention(OnnxFile file, OnnxEvaluator evaluator, OnnxModules modules, String context, int hidden) {
        this.file = file;
        this.evaluator = evaluator;
        this.modules = modules;
        String mixed = modules.only(context, this::isProduct, "the product of attention's weights and values");
        OnnxNode mix = file.producer(mixed);
        int size = (int) Math.min(Integer.MAX_VALUE, evaluator.value(mixed).lastSize());
        if (size < 1 || hidden % size != 0 || evaluator.value(mixed).elements() != OnnxSample.tokens() * hidden) {
            throw mix.refused(evaluator.value(mixed) + " from heads of " + size + " numbers",
                    "heads that make " + hidden + " numbers of a token");
        }
        heads = hidden / size;
        int[] byHeads = {OnnxSample.BATCH, heads, OnnxSample.LENGTH, size};
        int[] byTokens = {OnnxSample.BATCH, OnnxSample.LENGTH, heads, size};
        double scale = layout(mixed, context, byHeads, 0, 2, 1, 3);
        value = projection(mix.input(1));
        scale *= layout(value, mix.input(1), byTokens, 0, 2, 1, 3);
        if (!OnnxModules.near(1, scale, SCALE_TOLERANCE)) {
            throw mix.refused("values scaled by " + scale, "values as they are");
        }

        OnnxNode softmax = softmax(mix.input(0));
        String scores = softmax.input(0);
        String product = modules.only(scores, this::isProduct, "the product of queries and keys");
        OnnxNode multiply = file.producer(product);
        scale = masked(product, scores);
        query = projection(multiply.input(0));
        scale *= layout(query, multiply.input(0), byTokens, 0, 2, 1, 3);
        key = projection(multiply.input(1));
        scale *= layout(key, multiply.input(1), byTokens, 0, 2, 3, 1);
        if (!OnnxModules.near(1, scale * Math.sqrt(size), SCALE_TOLERANCE)) {
            throw multiply.refused("attention scaled by " + scale, "1 / sqrt(" + size + ")");
        }
    }

    int heads() {
        return heads;
    }

    /** The output of the layer that gives queries. */
    String query() {
        return query;
    }

    /** The output of the layer that gives keys. */
    String key() {
        return key;
    }

    /** The output of the layer that gives values. */
    String value() {
        return value;
    }

    private boolean isProduct(String value) {
        OnnxNode node = file.producer(value);
        return node != null && node.op().equals("MatMul") && evaluator.value(node.input(0)).hidden()
                && evaluator.value(node.input(1)).hidden();
    }

    private String projection(String byHeads) {
        return modules.only(byHeads, value -> modules.linear(value) != null, "a linear layer's output by heads");
    }

    private OnnxNode softmax(String weights) {
        String value = modules.only(weights, name -> file.producer(name) != null
                && file.producer(name).op().equals("Softmax"), "a softmax");
        OnnxNode softmax = file.producer(value);
        long axis = softmax.integer("axis", file.opset() < 13 ? 1L : -1L);
        if (axis != -1 && axis != evaluator.value(value).rank() - 1) {
            throw softmax.refused("axis " + axis, "the last");
        }
        OnnxValue shape = evaluator.value(value);
        double[] probe = modules.probe(value, i -> i + 1); // weights are never negative
        if (!Arrays.equals(probe, run(value, shape, probe, weights))) {
            throw softmax.refused("a change of what it gives", "attention's weights as they are");
        }
        return softmax;
    }

    /** 1, -2, 3, -4 and so on: all differ, and either sign is there. */
    private double[] alternating(String value) {
        return modules.probe(value, i -> i % 2 == 0 ? i + 1 : -i - 1);
    }

    private double[] run(String from, OnnxValue shape, double[] numbers, String to) {
        return evaluator.evaluate(to, Map.of(from, OnnxValue.of(Kind.FLOAT, numbers, shape.shape()))).data();
    }

    /**
     * Checks that {@code to} is {@code from} with its dimensions in another order and times a number, which it returns.
     *
     * @param sizes four dimensions of {@code from}, which the graph may write as fewer
     * @param order the dimensions of {@code from} that become those of {@code to}
     */
    private double layout(String from, String to, int[] sizes, int... order) {
        OnnxValue shape = evaluator.value(from);
        double[] in = alternating(from);
        double[] out = run(from, shape, in, to);
        if (in.length != (long) sizes[0] * sizes[1] * sizes[2] * sizes[3] || out.length != in.length) {
            throw modules.refused(to, out.length + " numbers from " + shape, "as many by heads");
        }
        int[] steps = {sizes[1] * sizes[2] * sizes[3], sizes[2] * sizes[3], sizes[3], 1};
        double scale = out[0] / in[0];
        int at = 0;
        for (int i = 0; i < sizes[order[0]]; i++) {
            for (int j = 0; j < sizes[order[1]]; j++) {
                for (int k = 0; k < sizes[order[2]]; k++) {
                    for (int l = 0; l < sizes[order[3]]; l++) {
                        int source = i * steps[order[0]] + j * steps[order[1]] + k * steps[order[2]]
                                + l * steps[order[3]];
                        if (!isNear(scale * in[source], out[at++], scale * in.length)) {
                            throw modules.refused(to, "another order of \"" + from + "\", or another function of it",
                                    "heads side by side, as Hugging Face's encoders have them");
                        }
                    }
                }
            }
        }
        return scale;
    }

    private static boolean isNear(double expected, double found, double largest) {
        return Math.abs(expected - found) <= 1e-9 * Math.abs(largest);
    }

    /** Checks that padding, and nothing else, is masked, and returns what the product is multiplied by. */
    private double masked(String product, String scores) {
        OnnxValue shape = evaluator.value(product);
        double[] zeros = run(product, shape, modules.probe(product, i -> 0), scores);
        double[] probe = alternating(product);
        double[] scaled = run(product, shape, probe, scores);
        int length = OnnxSample.LENGTH;
        if (zeros.length != (long) OnnxSample.BATCH * heads * length * length) {
            throw modules.refused(scores, evaluator.value(scores).toString(), "one score per head and pair of tokens");
        }
        double scale = scaled[0] / probe[0];
        for (int i = 0; i < zeros.length; i++) {
            int text = i / (heads * length * length);
            boolean padding = i % length >= OnnxSample.length(text);
            boolean asked = i / length % length < OnnxSample.length(text); // what padding attends to does not matter
            if (padding ? asked && !(zeros[i] <= MASKED && scaled[i] <= MASKED)
                    : asked && !(zeros[i] == 0 && isNear(scale * probe[i], scaled[i], scale * probe.length))) {
                throw modules.refused(scores, (padding ? "padding that is not masked, scores " : "scores ") + zeros[i]
                        + " and " + scaled[i] + " for products 0 and " + probe[i] + " at place " + i,
                        "a mask of padding alone");
            }
        }
        return scale;
    }
}
