package io.vblora.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.Golden;
import io.vblora.InputException;
import io.vblora.adapter.Adapter;
import io.vblora.adapter.AdapterConfig;
import io.vblora.adapter.LoraConfig;
import io.vblora.adapter.NamedTensors;
import io.vblora.adapter.VbLoraConfig;
import io.vblora.blas.Blas;
import io.vblora.data.Example;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.model.Execution;
import io.vblora.model.LlamaModel;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.IntConsumer;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What a step is, when held-out data is scored, and which parameters a run ends with; on a small random Llama. */
class TrainerTest {
    private final List<TrainingListener.Step> steps = new ArrayList<>();
    private final List<TrainingListener.Evaluation> evaluations = new ArrayList<>();
    /** All parameters at the time of each evaluation. */
    private final Map<Long, Map<String, float[]>> parametersAt = new LinkedHashMap<>();
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

    private final TrainingListener recorder = new TrainingListener() {
        @Override
        public void onStep(Step step) {
            steps.add(step);
        }

        @Override
        public void onEvaluation(Evaluation evaluation) {
            evaluations.add(evaluation);
            parametersAt.put(evaluation.step(), parameters(model.adapter()));
        }
    };

    private static AdapterConfig lora() {
        return LoraConfig.builder().r(2).targetModules("all-linear").loraDropout(0).build();
    }

    /** A bank large enough for active sets. */
    private static AdapterConfig vbLora() {
        return VbLoraConfig.builder().r(2).targetModules("all-linear").numVectors(300).vectorLength(16)
                .vbloraDropout(0).build();
    }

    private Map<String, float[]> parameters(Adapter adapter) {
        Map<String, float[]> all = new LinkedHashMap<>();
        all.put("packed", adapter.composition().packed().toFloats());
        try (NamedTensors parameters = adapter.composition().parameters(stream)) {
            parameters.asMap().forEach((name, tensor) -> all.put(name, tensor.toFloats()));
        }
        return all;
    }

    private static void assertSame(Map<String, float[]> expected, Map<String, float[]> found) {
        assertEquals(expected.keySet(), found.keySet());
        expected.forEach((name, values) -> assertArrayEquals(values, found.get(name), name));
    }

    /** Sequences of different lengths, some with labels that do not count. */
    private static List<Example> examples(int count) {
        Random random = new Random(11);
        List<Example> examples = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            int[] ids = random.ints(6 + random.nextInt(20), 0, 512).toArray();
            int[] labels = ids.clone();
            Arrays.fill(labels, 0, random.nextInt(5), Example.IGNORE_INDEX);
            examples.add(new Example(ids, labels));
        }
        return examples;
    }

    private TrainingResult train(AdapterConfig config, TrainingArguments.Builder arguments, List<Example> examples) {
        try (Adapter adapter = Adapter.create(config, model.linears(), stream, 5)) {
            model.attach(adapter);
            return new Trainer<>(new CausalLmObjective(model), execution, arguments.build(), List.of(recorder))
                    .train(examples, List.of());
        }
    }

    private double meanLoss(List<Example> examples) {
        double sum = 0;
        long counted = 0;
        for (Example e : examples) {
            sum += model.lossSum(execution, 1, e.length(), e.inputIds(), e.labels(), new int[] {e.length()});
            counted += e.countedLabels();
        }
        return sum / counted;
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 4})
    void aStepIsTheMeanOverTheLabelsOfAllItsMicroBatches(int size) {
        List<Example> examples = examples(4);
        train(lora(), TrainingArguments.builder().perDeviceTrainBatchSize(size).gradientAccumulationSteps(4 / size)
                .maxSteps(1).shuffle(false).maxGradNorm(0), examples);
        double norm = steps.get(0).gradNorm();
        // LoRA begins with B = 0: the model is the base. Micro-batches differ by the order of float32 sums alone.
        model.attach(null);
        double loss = meanLoss(examples);
        assertEquals(loss, steps.get(0).loss(), 1e-6 * loss);
        assertEquals(examples.stream().mapToInt(Example::length).sum(), steps.get(0).tokens());
        steps.clear();
        train(lora(), TrainingArguments.builder().perDeviceTrainBatchSize(4).maxSteps(1).shuffle(false).maxGradNorm(0),
                examples);
        assertEquals(norm, steps.get(0).gradNorm(), 1e-5 * norm);
    }

    @Test
    void theLastStepOfAnEpochTakesWhatIsLeft() {
        List<Example> examples = examples(7);
        // Learning rates of 0: every step's loss is the base model's.
        TrainingResult result = train(lora(), TrainingArguments.builder().perDeviceTrainBatchSize(2)
                .gradientAccumulationSteps(2).numTrainEpochs(2).shuffle(false).learningRate(0), examples);
        assertEquals(4, result.steps());
        model.attach(null);
        double whole = meanLoss(examples.subList(0, 4));
        double rest = meanLoss(examples.subList(4, 7));
        double[] expected = {whole, rest, whole, rest};
        double[] epochs = {0.5, 1, 1.5, 2};
        for (int i = 0; i < 4; i++) {
            assertEquals(expected[i], steps.get(i).loss(), 1e-6 * expected[i]);
            assertEquals(epochs[i], steps.get(i).epoch());
        }
        assertEquals((whole + rest) / 2, result.trainLoss(), 1e-6 * whole);
        assertEquals(2 * examples.stream().mapToInt(Example::length).sum(), result.tokens());
    }

    /** Learns as the model does, and is given the scores that it says the held-out data has. */
    private final class Scripted implements Objective<Example> {
        private final CausalLmObjective learnt = new CausalLmObjective(model);
        private final String metric;
        private final double[] scores;
        private int next;

        Scripted(String metric, double... scores) {
            this.metric = metric;
            this.scores = scores;
        }

        @Override
        public Adapter adapter() {
            return learnt.adapter();
        }

        @Override
        public long counted(List<Example> batch) {
            return learnt.counted(batch);
        }

        @Override
        public double lossSumAndGradients(Execution run, List<Example> batch, double gradientScale) {
            return learnt.lossSumAndGradients(run, batch, gradientScale);
        }

        @Override
        public Map<String, Double> evaluate(Execution run, List<Example> examples, int batchSize, IntConsumer scored) {
            return Map.of(metric, scores[next++]);
        }
    }

    private TrainingResult scripted(Adapter adapter, TrainingArguments.Builder arguments, String metric,
            double... scores) {
        model.attach(adapter);
        List<Example> examples = examples(12);
        return new Trainer<>(new Scripted(metric, scores), execution, arguments.metricForBestModel(metric)
                .perDeviceTrainBatchSize(4).build(), List.of(recorder)).train(examples, examples.subList(0, 1));
    }

    private List<Long> evaluatedAt() {
        return evaluations.stream().map(TrainingListener.Evaluation::step).toList();
    }

    private List<Long> bestAt() {
        return evaluations.stream().filter(TrainingListener.Evaluation::best).map(TrainingListener.Evaluation::step)
                .toList();
    }

    @Test
    void heldOutDataIsScoredBeforeBetweenAndAfter() {
        try (Adapter adapter = Adapter.create(lora(), model.linears(), stream, 5)) {
            TrainingResult result = scripted(adapter, TrainingArguments.builder().maxSteps(5).evalSteps(2),
                    "eval_loss", 3, 2, 2, 1);
            assertEquals(List.of(0L, 2L, 4L, 5L), evaluatedAt());
            assertEquals(List.of(0L, 2L, 5L), bestAt());
            assertEquals(Map.of("eval_loss", 3.0), result.metricsBefore());
            assertEquals(Map.of("eval_loss", 1.0), result.metricsAfter());
            assertEquals(5, result.bestStep());
            evaluations.clear();
            scripted(adapter, TrainingArguments.builder().maxSteps(4).evalSteps(2), "eval_loss", 3, 2, 1);
            assertEquals(List.of(0L, 2L, 4L), evaluatedAt());
            evaluations.clear();
            scripted(adapter, TrainingArguments.builder().maxSteps(4), "eval_loss", 3, 2);
            assertEquals(List.of(0L, 4L), evaluatedAt());
        }
    }

    @Test
    void theLastParametersStayUnlessTheBestAreAskedFor() {
        try (Adapter adapter = Adapter.create(lora(), model.linears(), stream, 5)) {
            TrainingResult result = scripted(adapter, TrainingArguments.builder().maxSteps(3).evalSteps(1), "eval_loss",
                    3, 1, 2, 2);
            assertEquals(1, result.bestStep());
            assertEquals(Map.of("eval_loss", 2.0), result.metricsAfter());
            assertSame(parametersAt.get(3L), parameters(adapter));
        }
    }

    @Test
    void theBestParametersComeBackBitForBit() {
        for (AdapterConfig config : List.of(lora(), vbLora())) {
            evaluations.clear();
            try (Adapter adapter = Adapter.create(config, model.linears(), stream, 5)) {
                // More is better, of equal scores the first counts, and what is not a number never does.
                TrainingResult result = scripted(adapter, TrainingArguments.builder().maxSteps(6).evalSteps(1)
                        .loadBestModelAtEnd(true), "accuracy", Double.NaN, 0.25, 0.5, Double.NaN, 0.75, 0.75, 0.5);
                assertEquals(List.of(0L, 1L, 2L, 4L), bestAt());
                assertEquals(4, result.bestStep());
                assertEquals(Map.of("accuracy", 0.75), result.metricsAfter());
                assertEquals(6, result.steps());
                assertFalse(Arrays.equals(parametersAt.get(4L).get("packed"), parametersAt.get(6L).get("packed")));
                assertSame(parametersAt.get(4L), parameters(adapter));
            }
        }
    }

    @Test
    void theBestMayBeWhatTheRunBeganWith() {
        try (Adapter adapter = Adapter.create(vbLora(), model.linears(), stream, 5)) {
            Map<String, float[]> first = parameters(adapter);
            TrainingResult result = scripted(adapter, TrainingArguments.builder().maxSteps(2)
                    .loadBestModelAtEnd(true), "eval_loss", 1, 2);
            assertEquals(0, result.bestStep());
            assertSame(first, parameters(adapter));
        }
    }

    /** The parameters that came back can be trained on, as those of any adapter. */
    @Test
    void aRunFromRestoredParametersEqualsOneFromTheSame() {
        Map<String, float[]> expected;
        try (Adapter adapter = Adapter.create(vbLora(), model.linears(), stream, 5)) {
            scripted(adapter, TrainingArguments.builder().maxSteps(3), "eval_loss", 1, 2);
            expected = parameters(adapter);
        }
        try (Adapter adapter = Adapter.create(vbLora(), model.linears(), stream, 5)) {
            scripted(adapter, TrainingArguments.builder().maxSteps(2).loadBestModelAtEnd(true), "eval_loss", 1, 2);
            scripted(adapter, TrainingArguments.builder().maxSteps(3), "eval_loss", 1, 2);
            assertSame(expected, parameters(adapter));
        }
    }

    @Test
    void stopsWhenScoringsInARowAreNoBetter() {
        try (Adapter adapter = Adapter.create(lora(), model.linears(), stream, 5)) {
            TrainingResult result = scripted(adapter, TrainingArguments.builder().maxSteps(20).evalSteps(2)
                    .earlyStoppingPatience(2).loadBestModelAtEnd(true), "eval_loss", 5, 4, 6, 3, 3, 7);
            assertEquals(10, result.steps());
            assertEquals(List.of(0L, 2L, 4L, 6L, 8L, 10L), evaluatedAt());
            assertEquals(6, result.bestStep());
            assertSame(parametersAt.get(6L), parameters(adapter));
            // Added up one by one: a DoubleStream's sum() makes up for roundings.
            double sum = steps.stream().map(TrainingListener.Step::loss).reduce(0.0, Double::sum);
            assertEquals(sum / 10, result.trainLoss());
        }
    }

    @Test
    void refusesToChooseByWhatIsNotThere() {
        try (Adapter adapter = Adapter.create(lora(), model.linears(), stream, 5)) {
            model.attach(adapter);
            List<Example> examples = examples(3);
            var trainer = new Trainer<>(new CausalLmObjective(model), execution,
                    TrainingArguments.builder().metricForBestModel("accuracy").build(), List.of());
            InputException e = assertThrows(InputException.class, () -> trainer.train(examples, examples));
            assertEquals("metric_for_best_model", e.field());
            assertTrue(e.getMessage().contains("eval_loss"), e.getMessage());
            for (var arguments : Map.of("eval_steps", TrainingArguments.builder().evalSteps(3),
                    "load_best_model_at_end", TrainingArguments.builder().loadBestModelAtEnd(true)).entrySet()) {
                var other = new Trainer<>(new CausalLmObjective(model), execution, arguments.getValue().build(),
                        List.of());
                assertEquals(arguments.getKey(), assertThrows(InputException.class,
                        () -> other.train(examples, List.of())).field());
            }
        }
    }

    @Test
    void tellsHowFarScoringIs() {
        List<TrainingListener.PredictionStep> told = new ArrayList<>();
        try (Adapter adapter = Adapter.create(lora(), model.linears(), stream, 5)) {
            model.attach(adapter);
            List<Example> examples = examples(5);
            new Trainer<>(new CausalLmObjective(model), execution, TrainingArguments.builder().maxSteps(1)
                    .perDeviceEvalBatchSize(2).build(), List.of(new TrainingListener() {
                        @Override
                        public void onPredictionStep(PredictionStep step) {
                            told.add(step);
                        }
                    })).train(examples, examples);
        }
        assertEquals(IntStream.of(2, 4, 5, 12, 14, 15).mapToObj(n -> new TrainingListener.PredictionStep(n / 10,
                n % 10, 5)).toList(), told);
    }

    @Test
    void groupsByLengthOnRequest() {
        // 16 examples in batches of 2 are sorted in stretches of 4.
        int[] lengths = {2, 9, 3, 8};
        List<Example> examples = IntStream.range(0, 16).mapToObj(i -> Example.of(new int[lengths[i % 4]])).toList();
        for (boolean group : new boolean[] {false, true}) {
            steps.clear();
            train(lora(), TrainingArguments.builder().perDeviceTrainBatchSize(2).numTrainEpochs(1).shuffle(false)
                    .groupByLength(group).learningRate(0), examples);
            assertEquals(group ? List.of(17L, 5L, 17L, 5L) : List.of(11L, 11L, 11L, 11L),
                    steps.stream().limit(4).map(TrainingListener.Step::tokens).toList());
        }
    }
}
