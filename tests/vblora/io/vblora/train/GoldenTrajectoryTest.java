package io.vblora.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.vblora.Golden;
import io.vblora.adapter.Adapter;
import io.vblora.adapter.Composition;
import io.vblora.adapter.NamedTensors;
import io.vblora.adapter.ParameterGroup;
import io.vblora.blas.Blas;
import io.vblora.data.Example;
import io.vblora.kernels.DType;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Optimizer;
import io.vblora.kernels.ops.StepState;
import io.vblora.model.Execution;
import io.vblora.model.LlamaModel;
import io.vblora.weights.SafetensorsFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The training run that PEFT's own code did in float64 (tests/golden/traj/tinyrand_b16, 60 steps of a small Llama with
 * all linear layers adapted), repeated step by step.
 */
class GoldenTrajectoryTest {
    private static final String RUN = "traj/tinyrand_b16/";
    /** PyTorch's own float32 run stays within 1.6e-7 of its float64 run. */
    private static final double LOSS_TOLERANCE = 1e-6;

    private final List<TrainingListener.Step> steps = new ArrayList<>();
    private Stream stream;
    private Execution execution;
    private LlamaModel model;

    @BeforeEach
    void load() {
        stream = Stream.cpu(2);
        execution = new Execution(stream, Blas.on(stream.device()));
        model = LlamaModel.load(Golden.own("models/tinyrand"), null, stream);
    }

    @AfterEach
    void close() {
        execution.close();
        model.close();
        stream.close();
    }

    @Test
    void everyStepHasPeftsLossLearningRatesAndGradientNorm() throws Exception {
        JsonNode expected = trajectory().at("/runs/f64/steps");
        try (Adapter adapter = Adapter.load(Golden.own(RUN + "adapter_init"), stream)) {
            train(adapter, 60);
            assertEquals(expected.size(), steps.size());
            double worst = 0;
            for (int i = 0; i < steps.size(); i++) {
                TrainingListener.Step found = steps.get(i);
                JsonNode step = expected.get(i);
                double loss = step.get("loss").doubleValue();
                worst = Math.max(worst, Math.abs(found.loss() - loss) / loss);
                assertEquals(loss, found.loss(), LOSS_TOLERANCE * loss, "loss of step " + (i + 1));
                assertEquals(step.get("lr_bank").doubleValue(), found.learningRates().get("learning_rate_vector_bank"),
                        1e-15);
                assertEquals(step.get("lr_logits").doubleValue(), found.learningRates().get("learning_rate_logits"),
                        1e-15);
                double norm = Math.hypot(step.get("gradnorm_bank").doubleValue(),
                        step.get("gradnorm_logits").doubleValue());
                assertEquals(norm, found.gradNorm(), 1e-5 * norm, "gradient norm of step " + (i + 1));
            }
            System.out.printf("Golden training run: worst relative difference of the loss over %d steps %.2e%n",
                    steps.size(), worst);
        }
    }

    @Test
    void theTrainedParametersArePefts() {
        Path finalFile = Golden.shared("golden/" + RUN + "final.safetensors");
        try (Adapter adapter = Adapter.load(Golden.own(RUN + "adapter_init"), stream)) {
            train(adapter, 60);
            // PyTorch's own float32 run ends, tensor by tensor, within 3.3e-6 of its float64 run (max abs / max) and
            // 1.12e-6 in the mean of the tensors. A single logit whose gradients nearly cancel can lie further off,
            // since Adam divides by their size: hence a bound on the mean close to PyTorch's, and a wider one on the
            // worst entry.
            double mean = compare(adapter.composition().parameters(stream), finalFile, "f64.", 1e-5);
            assertTrue(mean <= 1.5e-6, "mean over all tensors: " + mean);
        }
    }

    @Test
    void theGradientsOfTheFirstStepArePefts() {
        Path gradients = Golden.shared("golden/" + RUN + "grad_step1_f64.safetensors");
        try (Adapter adapter = Adapter.load(Golden.own(RUN + "adapter_init"), stream)) {
            model.attach(adapter);
            Composition composition = adapter.composition();
            composition.enableTraining(stream, 0);
            gradients(composition, ids().get(0));
            compare(composition.gradients(stream), gradients, "", 1e-5);
        }
    }

    @Test
    void oneAdamStepFromPeftsCheckpointGivesItsNext(@TempDir Path temporary) throws Exception {
        Path run = Golden.shared("golden/" + RUN);
        Files.copy(run.resolve("adapter_init/adapter_config.json"), temporary.resolve("adapter_config.json"));
        Files.copy(run.resolve("ckpt10_params.safetensors"), temporary.resolve("adapter_model.safetensors"));
        JsonNode eleventh = trajectory().at("/runs/f64/steps/10");
        try (Adapter adapter = Adapter.load(temporary, stream);
                StepState step = new StepState(stream.device());
                Tensor squares = Tensor.allocate(stream.device(), DType.FLOAT64, 1)) {
            model.attach(adapter);
            Composition composition = adapter.composition();
            composition.enableTraining(stream, 0);
            Map<String, Tensor> expAvg = read(run.resolve("ckpt10_exp_avg.safetensors"));
            Map<String, Tensor> expAvgSq = read(run.resolve("ckpt10_exp_avg_sq.safetensors"));
            composition.loadMoments(stream, expAvg, expAvgSq);
            expAvg.values().forEach(Tensor::close);
            expAvgSq.values().forEach(Tensor::close);
            step.step(11)
                    .group(ParameterGroup.VECTOR_BANK.index(), eleventh.get("lr_bank").doubleValue(), 0.9, 0.999,
                            1e-8, 0)
                    .group(ParameterGroup.LOGITS.index(), eleventh.get("lr_logits").doubleValue(), 0.9, 0.999, 1e-8, 0)
                    .upload(stream);
            gradients(composition, ids().get(10));
            composition.sumSquares(stream, squares);
            Optimizer.clip(stream, squares, 0, step);
            composition.update(stream, step);
            // As far as PyTorch's float32 gets in the whole run.
            compare(composition.parameters(stream), run.resolve("ckpt11_params.safetensors"), "", 3.3e-6);
            Composition.Moments moments = composition.moments(stream);
            compare(moments.expAvg(), run.resolve("ckpt11_exp_avg.safetensors"), "", 1e-5);
            compare(moments.expAvgSq(), run.resolve("ckpt11_exp_avg_sq.safetensors"), "", 1e-5);
        }
    }

    /**
     * Compares tensors of the same names: max abs difference over max abs of the expected one.
     *
     * @return the mean of that over all tensors
     */
    private static double compare(NamedTensors found, Path expected, String prefix, double tolerance) {
        int compared = 0;
        double sum = 0;
        try (found; SafetensorsFile file = SafetensorsFile.open(expected)) {
            for (String name : file.names()) {
                if (!name.startsWith(prefix)) {
                    continue;
                }
                String own = name.substring(prefix.length());
                assertNotNull(found.get(own), own);
                try (Tensor truth = file.read(name)) {
                    float[] e = truth.toFloats();
                    float[] f = found.get(own).toFloats();
                    assertEquals(e.length, f.length, own);
                    double largest = 0;
                    double worst = 0;
                    for (int i = 0; i < e.length; i++) {
                        largest = Math.max(largest, Math.abs(e[i]));
                        worst = Math.max(worst, Math.abs((double) e[i] - f[i]));
                    }
                    sum += worst / largest;
                    assertTrue(worst <= tolerance * largest, own + ": differs by " + worst / largest
                            + " of its largest");
                }
                compared++;
            }
            assertEquals(found.asMap().size(), compared);
            return sum / compared;
        }
    }

    private static Map<String, Tensor> read(Path path) {
        try (SafetensorsFile file = SafetensorsFile.open(path)) {
            return file.names().stream().collect(Collectors.toMap(name -> name, file::read));
        }
    }

    private void gradients(Composition composition, int[] batch) {
        composition.zeroGradient(stream);
        model.lossSumAndGradients(execution, 4, 64, batch, batch, new int[] {64, 64, 64, 64}, 1.0 / (4 * 63));
        composition.backward(stream);
    }

    private void train(Adapter adapter, int count) {
        model.attach(adapter);
        List<Example> examples = new ArrayList<>();
        for (int[] batch : ids()) {
            for (int row = 0; row < 4; row++) {
                examples.add(Example.of(Arrays.copyOfRange(batch, row * 64, row * 64 + 64)));
            }
        }
        TrainingArguments arguments = TrainingArguments.builder().maxSteps(count).perDeviceTrainBatchSize(4)
                .shuffle(false).maxGradNorm(0).warmupRatio(0.06).build();
        new Trainer<>(new CausalLmObjective(model), execution, arguments, List.of(new TrainingListener() {
            @Override
            public void onStep(Step step) {
                steps.add(step);
            }
        })).train(examples, List.of());
    }

    /** input_ids of the 60 batches, each [4, 64]. */
    private static List<int[]> ids() {
        try (SafetensorsFile file = SafetensorsFile.open(Golden.own(RUN + "batches.safetensors"));
                Tensor all = file.read("input_ids")) {
            int[] flat = all.toInts();
            List<int[]> batches = new ArrayList<>();
            for (int i = 0; i < flat.length; i += 256) {
                batches.add(Arrays.copyOfRange(flat, i, i + 256));
            }
            return batches;
        }
    }

    private static JsonNode trajectory() throws Exception {
        return new ObjectMapper().readTree(Golden.own(RUN + "trajectory.json").toFile());
    }
}
