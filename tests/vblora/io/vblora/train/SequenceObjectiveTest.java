package io.vblora.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.InputException;
import io.vblora.adapter.Adapter;
import io.vblora.adapter.AdapterConfig;
import io.vblora.adapter.methods.lora.LoraConfig;
import io.vblora.adapter.methods.vblora.VbLoraConfig;
import io.vblora.blas.Blas;
import io.vblora.data.SequenceExample;
import io.vblora.eval.ClassificationMetrics;
import io.vblora.eval.RegressionMetrics;
import io.vblora.kernels.Stream;
import io.vblora.kernels.ops.Activation;
import io.vblora.model.Execution;
import io.vblora.model.ProblemType;
import io.vblora.model.SequenceConfig;
import io.vblora.model.SequenceModel;
import io.vblora.model.TinyBert;
import io.vblora.model.TokenBatch;
import io.vblora.model.Training;
import io.vblora.model.config.Pooling;
import io.vblora.parameters.NamedTensors;
import io.vblora.parameters.Trainable;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.IntConsumer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Training heads and adapters of a small random encoder. */
class SequenceObjectiveTest {
    /** Of batches of other shapes, whose float32 sums may be in another order; numbers are of the order of 1. */
    private static final double TOLERANCE = 1e-5;

    @TempDir
    static Path folder;

    private final List<TrainingListener.Step> steps = new ArrayList<>();
    private final List<TrainingListener.Evaluation> evaluations = new ArrayList<>();
    private Stream stream;
    private Execution execution;

    /** What is trained beside the head. */
    enum Method {
        HEAD {
            @Override
            AdapterConfig config(double dropout) {
                return LoraConfig.builder().targetModules("dummy-target-modules").modulesToSave(List.of("classifier"))
                        .build();
            }
        },
        LORA {
            @Override
            AdapterConfig config(double dropout) {
                return LoraConfig.builder().r(4).targetModules("all-linear").loraDropout(dropout)
                        .modulesToSave(List.of("classifier")).build();
            }
        },
        VBLORA {
            @Override
            AdapterConfig config(double dropout) {
                return VbLoraConfig.builder().r(4).targetModules("all-linear").numVectors(40).vectorLength(4)
                        .vbloraDropout(dropout).modulesToSave(List.of("classifier")).build();
            }
        };

        /** With this dropout, which falls on other elements in batches of other shapes. */
        abstract AdapterConfig config(double dropout);
    }

    @BeforeEach
    void open() throws IOException {
        TinyBert.write(folder, new Random(4), 4, Activation.GELU);
        open(2);
    }

    private void open(int threads) {
        stream = Stream.cpu(threads);
        execution = new Execution(stream, Blas.on(stream.device()));
    }

    @AfterEach
    void close() {
        execution.close();
        stream.close();
    }

    private SequenceModel model(ProblemType problem) {
        List<String> labels = problem == ProblemType.REGRESSION ? List.of() : List.of("none", "one", "more");
        return SequenceModel.load(folder, new SequenceConfig(problem, Pooling.MEAN, labels, 16), null, stream);
    }

    private Adapter attached(SequenceModel model, Method method) {
        return attached(model, method, 0.1);
    }

    private Adapter attached(SequenceModel model, Method method, double dropout) {
        Adapter adapter = Adapter.create(method.config(dropout), model.linears(), model.parameters(),
                model.initializerRange(), stream, 3);
        model.attach(adapter);
        return adapter;
    }

    /** Sequences of 2 to 15 tokens; the target says how often token 7 is among them: not, once, more often. */
    private static List<SequenceExample> examples(int count, long seed) {
        Random random = new Random(seed);
        List<SequenceExample> examples = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            int[] ids = random.ints(2 + random.nextInt(14), 0, 7).toArray();
            int sevens = i % 3;
            for (int n = 0; n < sevens; n++) {
                ids[n * (ids.length - 1)] = 7;
            }
            examples.add(new SequenceExample(ids, new int[ids.length], sevens));
        }
        return examples;
    }

    private TrainingResult train(Objective<SequenceExample> objective, TrainingArguments.Builder arguments,
            List<SequenceExample> examples, List<SequenceExample> heldOut) {
        return new Trainer<>(objective, execution, arguments.build(), List.of(new TrainingListener() {
            @Override
            public void onStep(Step step) {
                steps.add(step);
            }

            @Override
            public void onEvaluation(Evaluation evaluation) {
                evaluations.add(evaluation);
            }
        })).train(examples, heldOut);
    }

    private static TokenBatch alone(SequenceExample example) {
        return TokenBatch.of(example.inputIds());
    }

    @ParameterizedTest
    @EnumSource(Method.class)
    void logitsComeInTheOrderOfTheExamplesForAnyBatchSize(Method method) {
        List<SequenceExample> examples = examples(11, 1);
        try (SequenceModel model = model(ProblemType.SINGLE_LABEL_CLASSIFICATION);
                Adapter adapter = attached(model, method)) {
            for (int batchSize : new int[] {1, 4, 100}) {
                List<Integer> told = new ArrayList<>();
                float[] logits = new SequenceObjective(model).logits(execution, examples, batchSize, told::add);
                assertEquals(33, logits.length);
                for (int i = 0; i < 11; i++) {
                    float[] expected = model.logits(execution, alone(examples.get(i)));
                    for (int c = 0; c < 3; c++) {
                        assertEquals(expected[c], logits[3 * i + c], TOLERANCE);
                    }
                }
                assertEquals(batchSize == 4 ? List.of(4, 8, 11) : List.of(11), batchSize == 1 ? told.subList(10, 11)
                        : told);
            }
        }
    }

    @Test
    void classesAreScoredByTheirMetricsAndTheMeanLoss() {
        List<SequenceExample> examples = examples(20, 2);
        try (SequenceModel model = model(ProblemType.SINGLE_LABEL_CLASSIFICATION);
                Adapter adapter = attached(model, Method.VBLORA)) {
            SequenceObjective objective = new SequenceObjective(model);
            train(objective, TrainingArguments.builder().maxSteps(3), examples, List.of());
            double loss = 0;
            int[] predictions = new int[20];
            int[] references = new int[20];
            for (int i = 0; i < 20; i++) {
                SequenceExample example = examples.get(i);
                float[] logits = model.logits(execution, alone(example));
                double exps = Math.exp(logits[0]) + Math.exp(logits[1]) + Math.exp(logits[2]);
                loss += (Math.log(exps) - logits[(int) example.target()]) / 20;
                predictions[i] = logits[0] >= logits[1] && logits[0] >= logits[2] ? 0 : logits[1] >= logits[2] ? 1 : 2;
                references[i] = (int) example.target();
            }
            Map<String, Double> found = new LinkedHashMap<>(objective.evaluate(execution, examples, 6, n -> {}));
            assertEquals("eval_loss", found.keySet().iterator().next());
            assertEquals(loss, found.remove("eval_loss"), TOLERANCE);
            assertEquals(ClassificationMetrics.of(predictions, references, 3), found);
        }
    }

    @Test
    void valuesAreScoredByTheirMetricsAndTheMeanLoss() {
        List<SequenceExample> examples = examples(20, 3);
        try (SequenceModel model = model(ProblemType.REGRESSION);
                Adapter adapter = attached(model, Method.LORA)) {
            SequenceObjective objective = new SequenceObjective(model);
            train(objective, TrainingArguments.builder().maxSteps(3), examples, List.of());
            double loss = 0;
            double[] predictions = new double[20];
            double[] references = new double[20];
            for (int i = 0; i < 20; i++) {
                SequenceExample example = examples.get(i);
                predictions[i] = model.logits(execution, alone(example))[0];
                references[i] = example.target();
                loss += Math.pow(predictions[i] - references[i], 2) / 20;
            }
            Map<String, Double> expected = RegressionMetrics.of(predictions, references);
            Map<String, Double> found = objective.evaluate(execution, examples, 6, n -> {});
            assertEquals(List.of("eval_loss", "pearson", "spearmanr"), List.copyOf(found.keySet()));
            assertEquals(loss, found.get("eval_loss"), TOLERANCE);
            assertEquals(expected.get("pearson"), found.get("pearson"), TOLERANCE);
            assertEquals(expected.get("spearmanr"), found.get("spearmanr"), TOLERANCE);
        }
    }

    /** The head learns alone; updates of the encoder learn beside a random head that stays as it is. */
    @ParameterizedTest
    @EnumSource(Method.class)
    void learnsWhichTokensAClassHas(Method method) {
        Random random = new Random(5);
        List<SequenceExample> examples = new ArrayList<>();
        for (int i = 0; i < 300; i++) {
            int[] ids = random.ints(4 + random.nextInt(9), 0, 3).map(n -> n + 2 * (examples.size() % 3)).toArray();
            examples.add(new SequenceExample(ids, new int[ids.length], i % 3));
        }
        try (SequenceModel model = model(ProblemType.SINGLE_LABEL_CLASSIFICATION);
                Adapter adapter = attached(model, method)) {
            TrainingResult result = train(new SequenceObjective(model), TrainingArguments.builder().maxSteps(300)
                    .perDeviceTrainBatchSize(16).learningRate(1e-2).learningRate("learning_rate_vector_bank", 2e-2)
                    .learningRate("learning_rate_logits", 5e-2).learningRateHead(method == Method.HEAD ? 2e-2 : 0),
                    examples.subList(0, 240), examples.subList(240, 300));
            double before = result.metricsBefore().get("accuracy");
            double after = result.metricsAfter().get("accuracy");
            System.out.printf("A small encoder's accuracy, %s: %.3f before, %.3f after%n", method, before, after);
            assertTrue(before < 0.6, "before: " + before);
            assertTrue(after > 0.9, "after: " + after);
        }
    }

    /** Everything that a run leaves and says, for one method and task. */
    private Map<String, float[]> run(Method method, ProblemType problem, long seed) {
        steps.clear();
        evaluations.clear();
        Map<String, float[]> all = new LinkedHashMap<>();
        try (SequenceModel model = model(problem); Adapter adapter = attached(model, method)) {
            train(new SequenceObjective(model), TrainingArguments.builder().maxSteps(6).perDeviceTrainBatchSize(5)
                    .gradientAccumulationSteps(2).evalSteps(2).groupByLength(true).warmupSteps(1).seed(seed),
                    examples(33, 7), examples(13, 8));
            for (Trainable trainable : adapter.trainables()) {
                try (NamedTensors parameters = trainable.parameters(stream)) {
                    parameters.asMap().forEach((name, tensor) -> all.put(name, tensor.toFloats()));
                }
            }
        }
        return all;
    }

    @ParameterizedTest
    @EnumSource(Method.class)
    void aRunHasTheSameBitsForAnyNumberOfThreads(Method method) {
        for (ProblemType problem : ProblemType.values()) {
            Map<String, float[]> expected = run(method, problem, 9);
            List<Double> losses = steps.stream().map(TrainingListener.Step::loss).toList();
            List<TrainingListener.Evaluation> scores = List.copyOf(evaluations);
            assertEquals(4, scores.size());
            for (int threads : new int[] {1, 2, 3}) {
                close();
                open(threads);
                Map<String, float[]> found = run(method, problem, 9);
                assertEquals(losses, steps.stream().map(TrainingListener.Step::loss).toList());
                assertEquals(scores, evaluations);
                assertEquals(expected.keySet(), found.keySet());
                expected.forEach((name, values) -> assertArrayEquals(values, found.get(name), name));
            }
            run(method, problem, 10);
            assertFalse(losses.equals(steps.stream().map(TrainingListener.Step::loss).toList()));
        }
    }

    @Test
    void featuresOfAFrozenEncoderAreComputedOnce() {
        for (Method method : Method.values()) {
            List<SequenceExample> examples = examples(5, 11);
            try (SequenceModel model = model(ProblemType.SINGLE_LABEL_CLASSIFICATION);
                    Adapter adapter = attached(model, method)) {
                SequenceObjective objective = new SequenceObjective(model);
                float[] before = objective.logits(execution, examples, 2, n -> {});
                // The tokens are read again only if there is something to compute from them.
                examples.forEach(example -> Arrays.fill(example.inputIds(), 1));
                assertEquals(method == Method.HEAD,
                        Arrays.equals(before, objective.logits(execution, examples, 2, n -> {})));
            }
        }
    }

    /** Runs the whole model on one example after the other. */
    private record Plain(SequenceModel model) implements Objective<SequenceExample> {
        @Override
        public Adapter adapter() {
            return model.adapter();
        }

        @Override
        public long lossTerms(List<SequenceExample> batch) {
            return batch.size();
        }

        @Override
        public void addGradients(Execution execution, List<SequenceExample> batch, Training training) {
            batch.forEach(example -> model.addGradients(execution, alone(example), new float[] {example.target()},
                    training));
        }

        @Override
        public Map<String, Double> evaluate(Execution execution, List<SequenceExample> examples, int batchSize,
                IntConsumer scored) {
            return new SequenceObjective(model).evaluate(execution, examples, 1, scored);
        }
    }

    @ParameterizedTest
    @EnumSource(Method.class)
    void batchesAndKeptFeaturesTrainWhatSingleExamplesDo(Method method) {
        List<SequenceExample> examples = examples(10, 12);
        for (ProblemType problem : ProblemType.values()) {
            float[][] weights = new float[2][];
            double[] losses = new double[2];
            for (int plain = 0; plain < 2; plain++) {
                try (SequenceModel model = model(problem); Adapter adapter = attached(model, method, 0)) {
                    // Batches of 4, 4 and 2, two of them to a step: the second step of an epoch is the mean of two.
                    TrainingResult result = train(plain == 1 ? new Plain(model) : new SequenceObjective(model),
                            TrainingArguments.builder().maxSteps(4).perDeviceTrainBatchSize(4)
                                    .gradientAccumulationSteps(2).warmupSteps(0).learningRateHead(2e-3), examples,
                            List.of());
                    weights[plain] = adapter.wholeParameters().value("classifier.weight").toFloats();
                    losses[plain] = result.trainLoss();
                }
            }
            assertEquals(losses[1], losses[0], TOLERANCE);
            // Adam magnifies what rounding leaves of a gradient near zero; learning rates sum to at most 8e-3.
            assertArrayEquals(weights[1], weights[0], 1e-4f);
        }
    }

    @Test
    void groupsHaveLearningRatesOfTheirOwn() {
        List<SequenceExample> examples = examples(6, 13);
        for (Method method : Method.values()) {
            for (boolean trainHead : new boolean[] {true, false}) {
                steps.clear();
                try (SequenceModel model = model(ProblemType.SINGLE_LABEL_CLASSIFICATION);
                        Adapter adapter = attached(model, method)) {
                    float[] packed = adapter.composition().packed().toFloats();
                    float[] bias = adapter.wholeParameters().value("classifier.bias").toFloats();
                    double others = trainHead ? 0 : 0.5;
                    train(new SequenceObjective(model), TrainingArguments.builder().maxSteps(1).warmupSteps(0)
                            .learningRateHead(trainHead ? 0.25 : 0).learningRate(others)
                            .learningRate("learning_rate_vector_bank", others)
                            .learningRate("learning_rate_logits", others), examples, List.of());
                    float[] newBias = adapter.wholeParameters().value("classifier.bias").toFloats();
                    for (int c = 0; c < bias.length; c++) {
                        // AdamW's first step is the learning rate times the gradient's sign, but for epsilon.
                        assertEquals(trainHead ? 0.25 : 0, Math.abs(newBias[c] - bias[c]), 1e-5);
                    }
                    assertEquals(trainHead || method == Method.HEAD,
                            Arrays.equals(packed, adapter.composition().packed().toFloats()));
                    assertEquals(switch (method) {
                        case HEAD -> List.of("learning_rate_head");
                        case LORA -> List.of("learning_rate", "learning_rate_head");
                        case VBLORA -> List.of("learning_rate_vector_bank", "learning_rate_logits",
                                "learning_rate_head");
                    }, List.copyOf(steps.get(0).learningRates().keySet()));
                }
            }
        }
    }

    /** As Hugging Face's Trainer, which leaves biases out of weight decay. */
    @Test
    void weightDecayLeavesBiasesAlone() {
        double rate = 0.25;
        double decay = 0.5;
        float[] start = null;
        float[][] weights = new float[2][];
        float[][] biases = new float[2][];
        for (int decayed = 0; decayed < 2; decayed++) {
            try (SequenceModel model = model(ProblemType.SINGLE_LABEL_CLASSIFICATION);
                    Adapter adapter = attached(model, Method.HEAD)) {
                adapter.wholeParameters().value("classifier.bias").copyFrom(1f, -2f, 3f);
                start = adapter.wholeParameters().value("classifier.weight").toFloats();
                train(new SequenceObjective(model), TrainingArguments.builder().maxSteps(1).warmupSteps(0)
                        .learningRateHead(rate).weightDecay(decayed * decay), examples(6, 13), List.of());
                weights[decayed] = adapter.wholeParameters().value("classifier.weight").toFloats();
                biases[decayed] = adapter.wholeParameters().value("classifier.bias").toFloats();
            }
        }
        assertArrayEquals(biases[0], biases[1]);
        for (int i = 0; i < start.length; i++) {
            assertEquals(weights[0][i] - rate * decay * start[i], weights[1][i], 1e-6);
        }
    }

    @ParameterizedTest
    @EnumSource(Method.class)
    void theBestParametersScoreWhatTheyScored(Method method) {
        List<SequenceExample> heldOut = examples(15, 15);
        try (SequenceModel model = model(ProblemType.SINGLE_LABEL_CLASSIFICATION);
                Adapter adapter = attached(model, method)) {
            SequenceObjective objective = new SequenceObjective(model);
            // Learning rates that are far too high make the last parameters worse than earlier ones.
            TrainingResult result = train(objective, TrainingArguments.builder().maxSteps(12).evalSteps(1)
                    .perDeviceTrainBatchSize(4).learningRate(0.5).learningRateHead(3)
                    .learningRate("learning_rate_vector_bank", 0.5)
                    .loadBestModelAtEnd(true), examples(20, 14), heldOut);
            double best = evaluations.stream().mapToDouble(e -> e.metrics().get("eval_loss")).min().orElseThrow();
            assertTrue(best < evaluations.get(12).metrics().get("eval_loss"));
            assertEquals(best, result.metricsAfter().get("eval_loss"));
            assertEquals(result.metricsAfter(), objective.evaluate(execution, heldOut, 8, n -> {}));
        }
    }

    @Test
    void refusesExamplesWithoutATarget() {
        List<SequenceExample> examples = List.of(new SequenceExample(new int[] {1, 2}, new int[2], Float.NaN));
        for (ProblemType problem : ProblemType.values()) {
            try (SequenceModel model = model(problem); Adapter adapter = attached(model, Method.LORA)) {
                SequenceObjective objective = new SequenceObjective(model);
                assertEquals("label", assertThrows(InputException.class,
                        () -> objective.evaluate(execution, examples, 1, n -> {})).field());
                assertEquals("label", assertThrows(InputException.class,
                        () -> train(objective, TrainingArguments.builder(), examples, List.of())).field());
                assertEquals(problem == ProblemType.REGRESSION ? 1 : 3,
                        objective.logits(execution, examples, 1, n -> {}).length);
            }
        }
    }
}
