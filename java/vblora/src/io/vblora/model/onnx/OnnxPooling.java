package io.vblora.model.onnx;

import io.vblora.InputException;
import io.vblora.model.config.Pooling;
import io.vblora.model.onnx.OnnxModules.Linear;
import io.vblora.onnx.OnnxEvaluator;
import io.vblora.onnx.OnnxFile;
import io.vblora.onnx.OnnxNode;
import io.vblora.onnx.OnnxValue;
import io.vblora.onnx.OnnxValue.Kind;
import java.util.Arrays;
import java.util.Map;
import java.util.Random;
import java.util.Set;

/** Recognises what a graph makes of the last hidden state: BERT's pooler, or one vector per text. */
final class OnnxPooling {
    /** The evaluator computes in float64; a denominator that is kept above 1e-9 or so shifts the mean. */
    private static final double TOLERANCE = 1e-6;

    private final OnnxFile file;
    private final OnnxEvaluator evaluator;
    private final String last;
    private final OnnxValue shape;
    private final double[] state;
    private Linear dense;
    private String poolerOutput;
    private Pooling pooling;

    /**
     * Looks at what is computed from the last hidden state.
     *
     * @param last its name
     * @throws InputException if no output is the last hidden state or made of it in a known way
     */
    OnnxPooling(OnnxFile file, OnnxEvaluator evaluator, OnnxModules modules, String last) {
        this.file = file;
        this.evaluator = evaluator;
        this.last = last;
        this.shape = evaluator.value(last);
        Random random = new Random(1);
        this.state = modules.probe(last, i -> 2 * random.nextDouble() - 1);
        for (OnnxNode node : file.nodes()) {
            if (node.op().equals("Tanh")) {
                findPooler(modules, node);
            }
        }
        boolean known = false;
        for (String output : file.outputs()) {
            String value = modules.behind(output);
            boolean isPooler = value.equals(poolerOutput);
            Pooling found = isPooler ? Pooling.POOLER : isState(output) || isState(value) ? null : pooling(output);
            known |= isState(value) || found != null;
            pooling = found == null || pooling != null && isPooler ? pooling : found;
        }
        if (!known) {
            throw new InputException(file.path(), "graph.output", file.outputs().toString(),
                    "the last hidden state of an encoder, its pooler's output or one vector per text: the mean over "
                            + "its tokens, or the first of them");
        }
    }

    /** The layer {@code pooler.dense}; null if there is none. */
    Linear dense() {
        return dense;
    }

    /** Null if the graph does not pool. */
    Pooling pooling() {
        return pooling;
    }

    private boolean isState(String value) {
        return value.equals(last);
    }

    /** tanh(dense(first token's)). */
    private void findPooler(OnnxModules modules, OnnxNode tanh) {
        Linear layer = modules.linear(tanh.input(0));
        if (layer == null || layer.bias() == null || layer.inputSize() != shape.lastSize()
                || layer.outputSize() != shape.lastSize() || !near(cls(), fromState(layer.input()))) {
            return;
        }
        dense = layer;
        poolerOutput = tanh.outputs().get(0);
    }

    private Pooling pooling(String output) {
        OnnxValue value = evaluator.value(output);
        if (value.rank() != 2 || value.lastSize() != shape.lastSize()) {
            return null;
        }
        double[] found = fromState(output);
        if (near(cls(), found) || near(normalised(cls()), found)) {
            return Pooling.CLS;
        }
        return near(mean(), found) || near(normalised(mean()), found) ? Pooling.MEAN : null;
    }

    /** What a value is for the probe as last hidden state; null if that does not decide it. */
    private double[] fromState(String value) {
        if (!evaluator.value(value).hidden() || !evaluator.sources(value, this::isState).equals(Set.of(last))) {
            return null;
        }
        OnnxValue result = evaluator.evaluate(value, Map.of(last, OnnxValue.of(Kind.FLOAT, state, shape.shape())));
        return result.data();
    }

    private double[] cls() {
        int n = (int) shape.lastSize();
        double[] rows = new double[OnnxSample.BATCH * n];
        for (int text = 0; text < OnnxSample.BATCH; text++) {
            System.arraycopy(state, text * OnnxSample.LENGTH * n, rows, text * n, n);
        }
        return rows;
    }

    private double[] mean() {
        int n = (int) shape.lastSize();
        double[] rows = new double[OnnxSample.BATCH * n];
        for (int text = 0; text < OnnxSample.BATCH; text++) {
            for (int token = 0; token < OnnxSample.length(text); token++) {
                for (int i = 0; i < n; i++) {
                    rows[text * n + i] += state[(text * OnnxSample.LENGTH + token) * n + i] / OnnxSample.length(text);
                }
            }
        }
        return rows;
    }

    private double[] normalised(double[] rows) {
        int n = (int) shape.lastSize();
        double[] result = new double[rows.length];
        for (int row = 0; row < rows.length; row += n) {
            double norm = Math.sqrt(Arrays.stream(rows, row, row + n).map(x -> x * x).sum());
            for (int i = row; i < row + n; i++) {
                result[i] = rows[i] / norm;
            }
        }
        return result;
    }

    private static boolean near(double[] expected, double[] found) {
        if (found == null || found.length != expected.length) {
            return false;
        }
        for (int i = 0; i < found.length; i++) {
            if (!OnnxModules.near(expected[i], found[i], TOLERANCE)) {
                return false;
            }
        }
        return true;
    }
}
