package io.vblora.model.onnx;

import io.vblora.InputException;
import io.vblora.onnx.OnnxFile;
import io.vblora.onnx.OnnxValue;
import io.vblora.onnx.OnnxValue.Kind;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;

/**
 * The inputs that graphs are tried with: two texts, one of them padded. Sizes differ from each other, and so do the
 * numbers of the three inputs, so that they can be told apart.
 */
final class OnnxSample {
    static final int BATCH = 2;
    static final int LENGTH = 5;
    private static final int[] LENGTHS = {3, 5};
    private static final double[] IDS = {7, 11, 5, 9, 6, 8, 10, 12, 5, 13};
    private static final double[] TYPES = {0, 1, 1, 0, 1, 0, 0, 1, 0, 1};

    private OnnxSample() {}

    static long tokens() {
        return (long) BATCH * LENGTH;
    }

    /** Tokens of a text that are not padding. */
    static int length(int text) {
        return LENGTHS[text];
    }

    static double[] ids() {
        return IDS.clone();
    }

    static double[] types() {
        return TYPES.clone();
    }

    private static double[] mask() {
        double[] mask = new double[BATCH * LENGTH];
        for (int text = 0; text < BATCH; text++) {
            Arrays.fill(mask, text * LENGTH, text * LENGTH + LENGTHS[text], 1);
        }
        return mask;
    }

    /** A value for each of the graph's inputs, [batch, length]. */
    static Map<String, OnnxValue> inputs(OnnxFile file) {
        Map<String, OnnxValue> inputs = new HashMap<>();
        for (String name : file.inputs()) {
            double[] numbers = switch (name) {
                case "input_ids" -> ids();
                case "token_type_ids" -> types();
                case "attention_mask" -> mask();
                default -> throw new InputException(file.path(), "graph.input", "\"" + name + "\"",
                        "input_ids, attention_mask and token_type_ids");
            };
            inputs.put(name, OnnxValue.of(Kind.INTEGER, numbers, BATCH, LENGTH));
        }
        return inputs;
    }
}
