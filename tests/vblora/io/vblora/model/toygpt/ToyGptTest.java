package io.vblora.model.toygpt;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.InputException;
import io.vblora.adapter.AdaptedModule;
import io.vblora.adapter.Adapter;
import io.vblora.adapter.methods.lora.LoraConfig;
import io.vblora.blas.Blas;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.model.Execution;
import io.vblora.model.OnePass;
import io.vblora.model.TokenBatch;
import io.vblora.weights.SafetensorsWriter;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * A decoder with learned positions, layer norms and weights stored as [in, out], outside of the models' package: its
 * loss and all gradients against float64 arithmetic and its central differences.
 */
class ToyGptTest {
    private static final int HIDDEN = ToyGpt.HIDDEN;
    private static final int R = 2;
    private static final int[][] SEQUENCES = {{3, 0, 6, 6, 1}, {2, 5}};
    private static final double DIFFERENCE = 1e-5;
    /** Relative to the largest gradient of the same parameter; about a hundred roundings of float32. */
    private static final double TOLERANCE = 1e-5;

    @TempDir
    Path folder;

    private final Random random = new Random(11);
    /** Every parameter by name, the model's and, as module.A and module.Bt, the adapter's. */
    private final Map<String, double[]> values = new LinkedHashMap<>();

    private float[] draw(String name, int count, double mean, double std) {
        float[] drawn = new float[count];
        for (int i = 0; i < count; i++) {
            drawn[i] = (float) (mean + std * random.nextGaussian());
        }
        values.put(name, toDoubles(drawn));
        return drawn;
    }

    private static double[] toDoubles(float[] numbers) {
        double[] doubles = new double[numbers.length];
        for (int i = 0; i < numbers.length; i++) {
            doubles[i] = numbers[i];
        }
        return doubles;
    }

    private void write() {
        Map<String, long[]> shapes = new LinkedHashMap<>();
        shapes.put("wte.weight", new long[] {ToyGpt.VOCABULARY, HIDDEN});
        shapes.put("wpe.weight", new long[] {ToyGpt.POSITIONS, HIDDEN});
        for (int i = 0; i < ToyGpt.LAYERS; i++) {
            shapes.put("h." + i + ".ln.weight", new long[] {HIDDEN});
            shapes.put("h." + i + ".ln.bias", new long[] {HIDDEN});
            shapes.put("h." + i + ".c_proj.weight", new long[] {HIDDEN, HIDDEN});
            shapes.put("h." + i + ".c_proj.bias", new long[] {HIDDEN});
        }
        shapes.put("ln_f.weight", new long[] {HIDDEN});
        shapes.put("ln_f.bias", new long[] {HIDDEN});
        shapes.put("lm_head.weight", new long[] {ToyGpt.VOCABULARY, HIDDEN});
        SafetensorsWriter writer = new SafetensorsWriter();
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        shapes.forEach((name, shape) -> tensors.put(name, Tensor.of(draw(name,
                (int) Arrays.stream(shape).reduce(1, (a, b) -> a * b), name.contains("ln") ? 1 : 0, 0.7), shape)));
        writer.addAll(tensors).write(folder.resolve("model.safetensors"));
        tensors.values().forEach(Tensor::close);
    }

    private static double[] normalised(double[] x, double[] weight, double[] bias) {
        double mean = Arrays.stream(x).average().orElseThrow();
        double variance = Arrays.stream(x).map(v -> (v - mean) * (v - mean)).average().orElseThrow();
        double[] y = new double[x.length];
        for (int i = 0; i < x.length; i++) {
            y[i] = (x[i] - mean) / Math.sqrt(variance + ToyGpt.EPS) * weight[i] + bias[i];
        }
        return y;
    }

    /** The loss of all tokens but the last of each sequence, which predict the next one. */
    private double lossSum() {
        double loss = 0;
        for (int[] sequence : SEQUENCES) {
            for (int position = 0; position + 1 < sequence.length; position++) {
                double[] x = new double[HIDDEN];
                for (int i = 0; i < HIDDEN; i++) {
                    x[i] = values.get("wte.weight")[sequence[position] * HIDDEN + i]
                            + values.get("wpe.weight")[position * HIDDEN + i];
                }
                for (int layer = 0; layer < ToyGpt.LAYERS; layer++) {
                    x = layer("h." + layer + ".", x);
                }
                x = normalised(x, values.get("ln_f.weight"), values.get("ln_f.bias"));
                loss += crossEntropy(x, sequence[position + 1]);
            }
        }
        return loss;
    }

    private double[] layer(String path, double[] x) {
        double[] sum = x.clone();
        double[] a = values.getOrDefault(path + "c_proj.A", new double[0]);
        double[] bt = values.getOrDefault(path + "c_proj.Bt", new double[0]);
        for (int out = 0; out < HIDDEN; out++) {
            sum[out] += values.get(path + "c_proj.bias")[out];
            for (int in = 0; in < HIDDEN; in++) {
                double weight = values.get(path + "c_proj.weight")[in * HIDDEN + out];
                for (int r = 0; r < a.length / HIDDEN; r++) {
                    weight += bt[r * HIDDEN + out] * a[r * HIDDEN + in];
                }
                sum[out] += weight * x[in];
            }
        }
        return normalised(sum, values.get(path + "ln.weight"), values.get(path + "ln.bias"));
    }

    private double crossEntropy(double[] x, int target) {
        double[] logits = new double[ToyGpt.VOCABULARY];
        double sum = 0;
        for (int v = 0; v < logits.length; v++) {
            for (int i = 0; i < HIDDEN; i++) {
                logits[v] += values.get("lm_head.weight")[v * HIDDEN + i] * x[i];
            }
            sum += Math.exp(logits[v]);
        }
        return Math.log(sum) - logits[target];
    }

    @Test
    void gradientsAreThoseOfTheReference() {
        write();
        LoraConfig config = LoraConfig.builder().r(R).loraAlpha(R).targetModules(List.of("h.1.c_proj"))
                .modulesToSave(List.of("wte", "wpe", "ln", "h.0.c_proj", "ln_f", "lm_head")).build();
        TokenBatch batch = TokenBatch.of(SEQUENCES);
        try (Stream stream = Stream.cpu(2); ToyGpt model = ToyGpt.load(folder, stream);
                Execution execution = new Execution(stream, Blas.on(stream.device()));
                Adapter adapter = Adapter.create(config, model.linears(), model.parameters(), 0, stream, 1)) {
            AdaptedModule module = adapter.modules().get(0);
            assertTrue(adapter.fanInFanOut(module));
            module.a().copyFrom(draw("h.1.c_proj.A", R * HIDDEN, 0, 0.5));
            module.bt().copyFrom(draw("h.1.c_proj.Bt", R * HIDDEN, 0, 0.5));
            adapter.trainables().forEach(trainable -> trainable.enableTraining(stream));
            adapter.trainables().forEach(trainable -> trainable.zeroGradient(stream));
            model.attach(adapter);
            double loss = OnePass.loss(stream, 1,
                    training -> model.addGradients(execution, batch, batch.inputIds(), training));
            assertEquals(lossSum(), loss, 1e-5);
            assertEquals(lossSum(), model.lossSum(execution, batch, batch.inputIds()), 1e-5);

            Map<String, float[]> gradients = new LinkedHashMap<>();
            gradients.put("h.1.c_proj.A", module.da().toFloats());
            gradients.put("h.1.c_proj.Bt", module.dbt().toFloats());
            adapter.wholeParameters().names().forEach(
                    name -> gradients.put(name, adapter.wholeParameters().gradient(name).toFloats()));
            assertEquals(values.size() - 2, gradients.size(), "all but the weight and bias of h.1.c_proj");
            gradients.forEach(this::checkGradient);
        }
    }

    private void checkGradient(String name, float[] found) {
        double[] parameter = values.get(name);
        double[] expected = new double[parameter.length];
        double largest = 0;
        for (int i = 0; i < parameter.length; i++) {
            double before = parameter[i];
            parameter[i] = before + DIFFERENCE;
            double above = lossSum();
            parameter[i] = before - DIFFERENCE;
            expected[i] = (above - lossSum()) / (2 * DIFFERENCE);
            parameter[i] = before;
            largest = Math.max(largest, Math.abs(expected[i]));
        }
        for (int i = 0; i < parameter.length; i++) {
            assertEquals(expected[i], found[i], TOLERANCE * largest, name + " " + i);
        }
    }

    @Test
    void sequencesLongerThanThePositionsAreRefused() {
        write();
        try (Stream stream = Stream.cpu(1); ToyGpt model = ToyGpt.load(folder, stream);
                Execution execution = new Execution(stream, Blas.on(stream.device()))) {
            assertThrows(InputException.class, () -> model.logits(execution,
                    TokenBatch.of(new int[ToyGpt.POSITIONS + 1])));
        }
    }
}
