package io.vblora.model;

import io.vblora.kernels.ops.Activation;
import io.vblora.model.ReferenceLlama.Branch;
import io.vblora.model.config.BertConfig;
import io.vblora.model.config.Pooling;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.DoubleUnaryOperator;

/**
 * A BERT-type encoder with low-rank updates and a head in plain float64: the equations one after the other, sharing no
 * code with what it is there to check. Sequences are computed one by one.
 */
final class ReferenceBert {
    private final BertConfig config;
    private final Map<String, double[]> weights;

    /** @param weights by Hugging Face's names without a prefix, matrices row by row */
    ReferenceBert(BertConfig config, Map<String, float[]> weights) {
        this.config = config;
        this.weights = ReferenceLlama.widen(weights);
    }

    private ReferenceBert(ReferenceBert base, Map<String, double[]> whole) {
        config = base.config;
        weights = new LinkedHashMap<>(base.weights);
        weights.putAll(whole);
    }

    /** This encoder with some weights in place of its own, by their names; they may be changed in between. */
    ReferenceBert with(Map<String, double[]> whole) {
        return new ReferenceBert(this, whole);
    }

    /**
     * Sum of the loss of a batch.
     *
     * @param head weights and biases of the head under the modules' names, for example {@code classifier.weight}
     */
    double lossSum(TokenBatch rows, float[] targets, SequenceConfig task, Map<String, Branch> branches,
            Map<String, double[]> head) {
        double sum = 0;
        for (int row = 0; row < rows.size(); row++) {
            double[] logits = logits(rows, row, task.pooling(), branches, head);
            if (task.problemType() == ProblemType.REGRESSION) {
                sum += (logits[0] - targets[row]) * (logits[0] - targets[row]);
            } else {
                double largest = Arrays.stream(logits).max().orElseThrow();
                sum += largest + Math.log(Arrays.stream(logits).map(l -> Math.exp(l - largest)).sum())
                        - logits[(int) targets[row]];
            }
        }
        return sum;
    }

    double[] logits(TokenBatch rows, int row, Pooling pooling, Map<String, Branch> branches,
            Map<String, double[]> head) {
        double[] features = pooled(rows, row, pooling, branches);
        if (head.containsKey("classifier.weight")) {
            return affine(features, head.get("classifier.weight"), head.get("classifier.bias"));
        }
        double[] inner = affine(features, head.get("classifier.dense.weight"), head.get("classifier.dense.bias"));
        return affine(Arrays.stream(inner).map(Math::tanh).toArray(), head.get("classifier.out_proj.weight"),
                head.get("classifier.out_proj.bias"));
    }

    private static double[] affine(double[] x, double[] weight, double[] bias) {
        double[] y = bias.clone();
        for (int o = 0; o < y.length; o++) {
            for (int i = 0; i < x.length; i++) {
                y[o] += weight[o * x.length + i] * x[i];
            }
        }
        return y;
    }

    /** The vector of one sequence. */
    double[] pooled(TokenBatch rows, int row, Pooling pooling, Map<String, Branch> branches) {
        double[][] hidden = hidden(rows, row, branches);
        if (pooling == Pooling.MEAN) {
            double[] mean = new double[config.hiddenSize()];
            for (double[] token : hidden) {
                for (int i = 0; i < mean.length; i++) {
                    mean[i] += token[i] / hidden.length;
                }
            }
            return mean;
        }
        double[][] first = {hidden[0]};
        // A pooler's rows are sequences: dropout counts them, not tokens.
        return pooling == Pooling.CLS ? first[0]
                : map(linear(first, "pooler.dense", row, branches), Math::tanh)[0];
    }

    /** The output of the last layer for the tokens of one sequence. */
    double[][] hidden(TokenBatch rows, int row, Map<String, Branch> branches) {
        int first = rows.starts()[row];
        double[][] x = new double[rows.length(row)][config.hiddenSize()];
        for (int t = 0; t < x.length; t++) {
            addRow(x[t], "word", rows.inputIds()[first + t]);
            addRow(x[t], "position", config.embeddings().positionOffset() + t);
            addRow(x[t], "token_type", rows.tokenTypeIds() == null ? 0 : rows.tokenTypeIds()[first + t]);
        }
        x = norm(x, "embeddings.LayerNorm");
        for (int layer = 0; layer < config.numHiddenLayers(); layer++) {
            String path = "encoder.layer." + layer + ".";
            double[][] attended = attention(linear(x, path + "attention.self.query", first, branches),
                    linear(x, path + "attention.self.key", first, branches),
                    linear(x, path + "attention.self.value", first, branches));
            add(x, linear(attended, path + "attention.output.dense", first, branches));
            x = norm(x, path + "attention.output.LayerNorm");
            double[][] inner = map(linear(x, path + "intermediate.dense", first, branches),
                    value -> activation(config.layer().hiddenAct(), value));
            add(x, linear(inner, path + "output.dense", first, branches));
            x = norm(x, path + "output.LayerNorm");
        }
        return x;
    }

    private void addRow(double[] x, String table, int row) {
        double[] values = weights.get("embeddings." + table + "_embeddings.weight");
        for (int i = 0; i < x.length; i++) {
            x[i] += values[row * x.length + i];
        }
    }

    private double[][] norm(double[][] x, String path) {
        double[] weight = weights.get(path + ".weight");
        double[] bias = weights.get(path + ".bias");
        double[][] y = new double[x.length][weight.length];
        for (int t = 0; t < x.length; t++) {
            double mean = Arrays.stream(x[t]).average().orElseThrow();
            double variance = Arrays.stream(x[t]).map(value -> (value - mean) * (value - mean)).average().orElseThrow();
            for (int i = 0; i < weight.length; i++) {
                y[t][i] = (x[t][i] - mean) / Math.sqrt(variance + config.layerNormEps()) * weight[i] + bias[i];
            }
        }
        return y;
    }

    private double[][] linear(double[][] x, String path, int first, Map<String, Branch> branches) {
        return ReferenceLlama.linear(x, weights.get(path + ".weight"), weights.get(path + ".bias"), first,
                branches.get((config.isRoberta() ? "roberta." : "bert.") + path));
    }

    private double[][] attention(double[][] q, double[][] k, double[][] v) {
        int d = config.hiddenSize() / config.layer().numAttentionHeads();
        double[][] out = new double[q.length][q[0].length];
        for (int head = 0; head < q[0].length; head += d) {
            for (int t = 0; t < q.length; t++) {
                double[] weight = new double[k.length];
                double total = 0;
                for (int s = 0; s < k.length; s++) {
                    double score = 0;
                    for (int i = head; i < head + d; i++) {
                        score += q[t][i] * k[s][i];
                    }
                    weight[s] = Math.exp(score / Math.sqrt(d));
                    total += weight[s];
                }
                for (int s = 0; s < k.length; s++) {
                    for (int i = head; i < head + d; i++) {
                        out[t][i] += weight[s] / total * v[s][i];
                    }
                }
            }
        }
        return out;
    }

    private static double activation(Activation activation, double x) {
        return switch (activation) {
            case GELU -> x / 2 * (1 + erf(x / Math.sqrt(2)));
            case GELU_TANH -> x / 2 * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)));
            case RELU -> Math.max(x, 0);
            case TANH -> Math.tanh(x);
        };
    }

    /** 2/√π · exp(-x²) · Σ 2ⁿ x²ⁿ⁺¹ / (2n+1)!!, whose terms all have one sign. */
    static double erf(double x) {
        if (Math.abs(x) > 6) {
            return Math.signum(x);
        }
        double term = x;
        double sum = x;
        for (int n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
            term *= 2 * x * x / (2 * n + 1);
            sum += term;
        }
        return 2 / Math.sqrt(Math.PI) * Math.exp(-x * x) * sum;
    }

    private static double[][] map(double[][] x, DoubleUnaryOperator function) {
        return Arrays.stream(x).map(row -> Arrays.stream(row).map(function).toArray()).toArray(double[][]::new);
    }

    private static void add(double[][] x, double[][] y) {
        for (int t = 0; t < x.length; t++) {
            for (int i = 0; i < x[t].length; i++) {
                x[t][i] += y[t][i];
            }
        }
    }
}
