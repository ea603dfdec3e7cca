package io.vblora.model;

import com.fasterxml.jackson.databind.JsonNode;
import io.vblora.adapter.AdapterConfig;
import io.vblora.adapter.ModuleShape;
import io.vblora.adapter.methods.lora.LoraConfig;
import io.vblora.adapter.methods.vblora.VbLoraConfig;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * The matrices A and B of every module in float64, from parameters under PEFT's names, which may be changed in between.
 * The selection of VB-LoRA is made once: away from ties, that is what its derivative is about.
 */
final class ReferenceAdapter {
    static final String BANK = "base_model.vblora_vector_bank";

    private final AdapterConfig config;
    private final List<ModuleShape> modules;
    private final Map<String, double[]> parameters;
    private final Map<String, int[][]> selected = new LinkedHashMap<>();

    ReferenceAdapter(AdapterConfig config, List<ModuleShape> modules, Map<String, double[]> parameters) {
        this.config = config;
        this.modules = modules;
        this.parameters = parameters;
        if (config instanceof VbLoraConfig vbLora) {
            for (ModuleShape module : modules) {
                for (String name : List.of(name(module, "vblora_logits_A"), name(module, "vblora_logits_B"))) {
                    selected.put(name, select(parameters.get(name), vbLora));
                }
            }
        }
    }

    /** The number that one of LoRA's patterns gives a module, whose whole path must be the pattern, or another. */
    static Number ofModule(AdapterConfig config, String pattern, ModuleShape module, Number otherwise) {
        JsonNode value = config.json().path(pattern).path(module.path());
        return value.isNumber() ? value.numberValue() : otherwise;
    }

    static String name(ModuleShape module, String parameter) {
        return "base_model.model." + module.path() + "." + parameter;
    }

    /** Per sub-vector the indices of the k largest logits, of equal ones the lower first. */
    private static int[][] select(double[] logits, VbLoraConfig config) {
        int h = config.numVectors();
        int[][] indices = new int[logits.length / h][];
        for (int row = 0; row < indices.length; row++) {
            int offset = row * h;
            indices[row] = IntStream.range(0, h).boxed().sorted(Comparator.comparingDouble(i -> -logits[offset + i]))
                    .limit(config.topk()).mapToInt(Integer::intValue).toArray();
        }
        return indices;
    }

    Map<String, double[]> parameters() {
        return parameters;
    }

    /** Whether the loss depends on an element of a parameter; logits that are not selected do not count. */
    boolean isUsed(String parameter, int element) {
        int[][] rows = selected.get(parameter);
        if (rows == null) {
            return true;
        }
        int h = ((VbLoraConfig) config).numVectors();
        return IntStream.of(rows[element / h]).anyMatch(i -> i == element % h);
    }

    /** Low-rank updates by module path; masks of dropout likewise, empty without. */
    Map<String, ReferenceLlama.Branch> branches(Map<String, float[]> masks) {
        Map<String, ReferenceLlama.Branch> branches = new LinkedHashMap<>();
        for (ModuleShape module : modules) {
            int in = (int) module.inFeatures();
            int out = (int) module.outFeatures();
            int r = ofModule(config, "rank_pattern", module, config.r()).intValue();
            double[][] a = new double[r][in];
            double[][] b = new double[out][r];
            double scaling = 1;
            if (config instanceof VbLoraConfig vbLora) {
                compose(vbLora, module, a, b);
            } else {
                LoraConfig lora = (LoraConfig) config;
                scaling = ofModule(config, "alpha_pattern", module, lora.loraAlpha()).doubleValue()
                        / (lora.useRslora() ? Math.sqrt(r) : r);
                double[] flatA = parameters.get(name(module, "lora_A.weight"));
                double[] flatB = parameters.get(name(module, "lora_B.weight"));
                for (int i = 0; i < r; i++) {
                    System.arraycopy(flatA, i * in, a[i], 0, in);
                    for (int o = 0; o < out; o++) {
                        b[o][i] = flatB[o * r + i];
                    }
                }
            }
            branches.put(module.path(), new ReferenceLlama.Branch(a, b, scaling, masks.get(module.path())));
        }
        return branches;
    }

    /** A[i, t·b + j] = u_{i,t}[j], logits_A being [r, in/b, h]; B[t·b + j, i] = u_{t,i}[j], logits_B [out/b, r, h]. */
    private void compose(VbLoraConfig vbLora, ModuleShape module, double[][] a, double[][] b) {
        int length = vbLora.vectorLength();
        int columns = a[0].length / length;
        for (int row = 0; row < vbLora.r() * columns; row++) {
            double[] u = mix(vbLora, name(module, "vblora_logits_A"), row);
            System.arraycopy(u, 0, a[row / columns], row % columns * length, length);
        }
        for (int row = 0; row < b.length / length * vbLora.r(); row++) {
            double[] u = mix(vbLora, name(module, "vblora_logits_B"), row);
            for (int j = 0; j < length; j++) {
                b[row / vbLora.r() * length + j][row % vbLora.r()] = u[j];
            }
        }
    }

    /** u = Σ softmax(σ[S])_s V[s]. */
    private double[] mix(VbLoraConfig vbLora, String logitsName, int row) {
        double[] logits = parameters.get(logitsName);
        double[] bank = parameters.get(BANK);
        int[] indices = selected.get(logitsName)[row];
        int offset = row * vbLora.numVectors();
        double largest = logits[offset + indices[0]];
        double total = 0;
        for (int s : indices) {
            total += Math.exp(logits[offset + s] - largest);
        }
        double[] u = new double[vbLora.vectorLength()];
        for (int s : indices) {
            double weight = Math.exp(logits[offset + s] - largest) / total;
            for (int j = 0; j < u.length; j++) {
                u[j] += weight * bank[s * u.length + j];
            }
        }
        return u;
    }
}
