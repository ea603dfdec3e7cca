package io.vblora.model;

import io.vblora.model.config.LlamaConfig;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * A Llama-type decoder with low-rank updates in plain float64: the equations one after the other, sharing no code with
 * what it is there to check. Sequences are computed one by one.
 */
final class ReferenceLlama {
    private final LlamaConfig config;
    private final double ropeTheta;
    private final Map<String, double[]> weights;

    /**
     * The low-rank update of one linear layer: y += scaling · (mask ⊙ x) Aᵀ Bᵀ.
     *
     * @param a [r][in]
     * @param b [out][r]
     * @param mask dropout of the whole batch [tokens, in], 0 or 1 / (1 - p); null without dropout
     */
    record Branch(double[][] a, double[][] b, double scaling, float[] mask) {}

    /** @param weights by Hugging Face's names, matrices row by row */
    ReferenceLlama(LlamaConfig config, double ropeTheta, Map<String, float[]> weights) {
        this.config = config;
        this.ropeTheta = ropeTheta;
        this.weights = widen(weights);
        if (config.vocabulary().tieWordEmbeddings()) {
            this.weights.put("lm_head.weight", this.weights.get("model.embed_tokens.weight"));
        }
    }

    private ReferenceLlama(ReferenceLlama base, Map<String, double[]> whole) {
        config = base.config;
        ropeTheta = base.ropeTheta;
        weights = new LinkedHashMap<>(base.weights);
        weights.putAll(whole);
    }

    static Map<String, double[]> widen(Map<String, float[]> weights) {
        Map<String, double[]> wide = new LinkedHashMap<>();
        weights.forEach((name, values) -> wide.put(name,
                IntStream.range(0, values.length).mapToDouble(i -> values[i]).toArray()));
        return wide;
    }

    /** This model with some weights in place of its own, by their names; they may be changed in between. */
    ReferenceLlama with(Map<String, double[]> whole) {
        return new ReferenceLlama(this, whole);
    }

    /** Sum of the cross-entropy of a batch; position t is scored on label t + 1 of its sequence unless it is -100. */
    double lossSum(TokenBatch batch, int[] labels, Map<String, Branch> branches) {
        double sum = 0;
        for (int row = 0; row < batch.size(); row++) {
            int first = batch.starts()[row];
            double[][] logits = logits(batch.inputIds(), first, batch.length(row), branches);
            for (int t = 0; t + 1 < batch.length(row); t++) {
                int label = labels[first + t + 1];
                if (label != -100) {
                    sum += logSumExp(logits[t]) - logits[t][label];
                }
            }
        }
        return sum;
    }

    private double[][] logits(int[] inputIds, int first, int tokens, Map<String, Branch> branches) {
        int hidden = config.hiddenSize();
        double[] embedding = weights.get("model.embed_tokens.weight");
        double[][] x = new double[tokens][hidden];
        for (int t = 0; t < tokens; t++) {
            for (int i = 0; i < hidden; i++) {
                x[t][i] = embedding[inputIds[first + t] * hidden + i];
            }
        }
        for (int layer = 0; layer < config.numHiddenLayers(); layer++) {
            String path = "model.layers." + layer + ".";
            double[][] normed = norm(x, path + "input_layernorm");
            double[][] q = rotate(linear(normed, path + "self_attn.q_proj", first, branches));
            double[][] k = rotate(linear(normed, path + "self_attn.k_proj", first, branches));
            double[][] v = linear(normed, path + "self_attn.v_proj", first, branches);
            add(x, linear(attention(q, k, v), path + "self_attn.o_proj", first, branches));
            normed = norm(x, path + "post_attention_layernorm");
            double[][] gate = linear(normed, path + "mlp.gate_proj", first, branches);
            double[][] up = linear(normed, path + "mlp.up_proj", first, branches);
            for (int t = 0; t < tokens; t++) {
                for (int i = 0; i < up[t].length; i++) {
                    up[t][i] *= gate[t][i] / (1 + Math.exp(-gate[t][i]));
                }
            }
            add(x, linear(up, path + "mlp.down_proj", first, branches));
        }
        return linear(norm(x, "model.norm"), "lm_head", first, branches);
    }

    private double[][] norm(double[][] x, String path) {
        double[] weight = weights.get(path + ".weight");
        double[][] y = new double[x.length][weight.length];
        for (int t = 0; t < x.length; t++) {
            double squares = 0;
            for (double value : x[t]) {
                squares += value * value;
            }
            double root = Math.sqrt(squares / weight.length + config.rmsNormEps());
            for (int i = 0; i < weight.length; i++) {
                y[t][i] = x[t][i] / root * weight[i];
            }
        }
        return y;
    }

    private double[][] linear(double[][] x, String path, int first, Map<String, Branch> branches) {
        return linear(x, weights.get(path + ".weight"), weights.get(path + ".bias"), first, branches.get(path));
    }

    /**
     * x Wᵀ + bias, and a low-rank update unless that is null.
     *
     * @param bias or null
     * @param first place of the first row of x in the batch
     */
    static double[][] linear(double[][] x, double[] weight, double[] bias, int first, Branch branch) {
        int in = x[0].length;
        int out = weight.length / in;
        double[][] y = new double[x.length][out];
        for (int t = 0; t < x.length; t++) {
            for (int o = 0; o < out; o++) {
                double sum = bias == null ? 0 : bias[o];
                for (int i = 0; i < in; i++) {
                    sum += weight[o * in + i] * x[t][i];
                }
                y[t][o] = sum;
            }
            if (branch != null) {
                addBranch(branch, x[t], (first + t) * in, y[t]);
            }
        }
        return y;
    }

    private static void addBranch(Branch branch, double[] x, int maskOffset, double[] y) {
        for (int rank = 0; rank < branch.a.length; rank++) {
            double p = 0;
            for (int i = 0; i < x.length; i++) {
                p += branch.a[rank][i] * x[i] * (branch.mask == null ? 1 : branch.mask[maskOffset + i]);
            }
            for (int o = 0; o < y.length; o++) {
                y[o] += branch.scaling * p * branch.b[o][rank];
            }
        }
    }

    /** Half-split rotation: elements i and i + d/2 of a head are a pair, turned by position · theta^(-2i/d). */
    private double[][] rotate(double[][] x) {
        int d = config.attention().headDim();
        for (int t = 0; t < x.length; t++) {
            for (int head = 0; head < x[t].length; head += d) {
                for (int i = 0; i < d / 2; i++) {
                    double angle = t * Math.pow(ropeTheta, -2.0 * i / d);
                    double first = x[t][head + i];
                    double second = x[t][head + i + d / 2];
                    x[t][head + i] = first * Math.cos(angle) - second * Math.sin(angle);
                    x[t][head + i + d / 2] = second * Math.cos(angle) + first * Math.sin(angle);
                }
            }
        }
        return x;
    }

    private double[][] attention(double[][] q, double[][] k, double[][] v) {
        int d = config.attention().headDim();
        int group = config.attention().numAttentionHeads() / config.attention().numKeyValueHeads();
        double[][] out = new double[q.length][q[0].length];
        for (int head = 0; head < config.attention().numAttentionHeads(); head++) {
            int kv = head / group * d;
            for (int t = 0; t < q.length; t++) {
                double[] scores = new double[t + 1];
                for (int s = 0; s <= t; s++) {
                    for (int i = 0; i < d; i++) {
                        scores[s] += q[t][head * d + i] * k[s][kv + i] / Math.sqrt(d);
                    }
                }
                double logSum = logSumExp(scores);
                for (int s = 0; s <= t; s++) {
                    for (int i = 0; i < d; i++) {
                        out[t][head * d + i] += Math.exp(scores[s] - logSum) * v[s][kv + i];
                    }
                }
            }
        }
        return out;
    }

    private static void add(double[][] x, double[][] y) {
        for (int t = 0; t < x.length; t++) {
            for (int i = 0; i < x[t].length; i++) {
                x[t][i] += y[t][i];
            }
        }
    }

    private static double logSumExp(double[] values) {
        double largest = Double.NEGATIVE_INFINITY;
        for (double value : values) {
            largest = Math.max(largest, value);
        }
        double sum = 0;
        for (double value : values) {
            sum += Math.exp(value - largest);
        }
        return largest + Math.log(sum);
    }
}
