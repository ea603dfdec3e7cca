package io.vblora.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.Golden;
import io.vblora.InputException;
import io.vblora.adapter.Adapter;
import io.vblora.adapter.AdapterConfig;
import io.vblora.adapter.methods.lora.LoraConfig;
import io.vblora.adapter.methods.vblora.VbLoraConfig;
import io.vblora.blas.Blas;
import io.vblora.data.CausalLmExample;
import io.vblora.kernels.Stream;
import io.vblora.model.Execution;
import io.vblora.model.LlamaModel;
import io.vblora.model.TokenBatch;
import io.vblora.model.Training;
import io.vblora.optimizer.Optimizer;
import io.vblora.optimizer.OptimizerState;
import io.vblora.parameters.NamedTensors;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.lang.reflect.Proxy;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.function.IntConsumer;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
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

    private static void assertSameNumbers(Map<String, float[]> expected, Map<String, float[]> found) {
        assertEquals(expected.keySet(), found.keySet());
        expected.forEach((name, values) -> assertArrayEquals(values, found.get(name), name));
    }

    @Test
    void refusesToTrainAModelWithoutAnAdapter() {
        var objective = new CausalLmObjective(model);
        assertEquals("No adapter is attached to the model", assertThrows(IllegalStateException.class,
                () -> new Trainer<>(objective, execution, TrainingArguments.builder().build(), List.of()))
                .getMessage());
    }

    /** Sequences of different lengths, some with labels that do not count. */
    private static List<CausalLmExample> examples(int count) {
        Random random = new Random(11);
        List<CausalLmExample> examples = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            int[] ids = random.ints(6 + random.nextInt(20), 0, 512).toArray();
            int[] labels = ids.clone();
            Arrays.fill(labels, 0, random.nextInt(5), CausalLmExample.IGNORE_INDEX);
            examples.add(new CausalLmExample(ids, labels));
        }
        return examples;
    }

    private TrainingResult train(AdapterConfig config, TrainingArguments.Builder arguments,
            List<CausalLmExample> examples) {
        try (Adapter adapter = Adapter.create(config, model.linears(), stream, 5)) {
            model.attach(adapter);
            return new Trainer<>(new CausalLmObjective(model), execution, arguments.build(), List.of(recorder))
                    .train(examples, List.of());
        }
    }

    /** What an update leaves to the host: the optimizer's notes, and that the parameters are others now. */
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void theHostNotesEachUpdate(boolean selects) {
        TrainingArguments arguments = TrainingArguments.builder().maxSteps(2).build();
        List<String> calls = new ArrayList<>();
        List<Long> versions = new ArrayList<>();
        try (Adapter adapter = Adapter.create(selects ? vbLora() : lora(), model.linears(), stream, 5)) {
            model.attach(adapter);
            TrainingListener listener = new TrainingListener() {
                @Override
                public void onStep(Step step) {
                    calls.add("step " + step.step());
                    versions.add(adapter.composition().version());
                }
            };
            versions.add(adapter.composition().version());
            Optimizer optimizer = (on, trainables) -> recorded(arguments.optimizer().create().attach(on, trainables),
                    calls);
            new Trainer<>(new CausalLmObjective(model), execution, arguments, List.of(listener), optimizer)
                    .train(examples(4), List.of());
        }
        List<String> ofAStep = List.of("prepare", "update", "updated");
        List<String> expected = new ArrayList<>(ofAStep);
        expected.add("step 1");
        expected.addAll(ofAStep);
        expected.addAll(List.of("step 2", "close"));
        assertEquals(expected, calls);
        assertTrue(versions.get(0) < versions.get(1) && versions.get(1) < versions.get(2), versions::toString);
    }

    /** The state, with the names of the methods that are called. */
    private static OptimizerState recorded(OptimizerState state, List<String> calls) {
        return (OptimizerState) Proxy.newProxyInstance(OptimizerState.class.getClassLoader(),
                new Class<?>[] {OptimizerState.class}, (proxy, method, arguments) -> {
                    calls.add(method.getName());
                    return method.invoke(state, arguments);
                });
    }

    private double meanLoss(List<CausalLmExample> examples) {
        double sum = 0;
        long lossTerms = 0;
        for (CausalLmExample e : examples) {
            sum += model.lossSum(execution, TokenBatch.of(e.inputIds()), e.labels());
            lossTerms += e.countedLabels();
        }
        return sum / lossTerms;
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 4})
    void aStepIsTheMeanOverTheLabelsOfAllItsMicroBatches(int size) {
        List<CausalLmExample> examples = examples(4);
        train(lora(), TrainingArguments.builder().perDeviceTrainBatchSize(size).gradientAccumulationSteps(4 / size)
                .maxSteps(1).shuffle(false).maxGradNorm(0), examples);
        double norm = steps.get(0).gradNorm();
        // LoRA begins with B = 0: the model is the base. Micro-batches differ by the order of float32 sums alone.
        model.detach();
        double loss = meanLoss(examples);
        assertEquals(loss, steps.get(0).loss(), 1e-6 * loss);
        assertEquals(examples.stream().mapToInt(CausalLmExample::length).sum(), steps.get(0).tokens());
        steps.clear();
        train(lora(), TrainingArguments.builder().perDeviceTrainBatchSize(4).maxSteps(1).shuffle(false).maxGradNorm(0),
                examples);
        assertEquals(norm, steps.get(0).gradNorm(), 1e-5 * norm);
    }

    @Test
    void theLastStepOfAnEpochTakesWhatIsLeft() {
        List<CausalLmExample> examples = examples(7);
        // Learning rates of 0: every step's loss is the base model's.
        TrainingResult result = train(lora(), TrainingArguments.builder().perDeviceTrainBatchSize(2)
                .gradientAccumulationSteps(2).numTrainEpochs(2).shuffle(false).learningRate(0), examples);
        assertEquals(4, result.steps());
        model.detach();
        double whole = meanLoss(examples.subList(0, 4));
        double rest = meanLoss(examples.subList(4, 7));
        double[] expected = {whole, rest, whole, rest};
        double[] epochs = {0.5, 1, 1.5, 2};
        for (int i = 0; i < 4; i++) {
            assertEquals(expected[i], steps.get(i).loss(), 1e-6 * expected[i]);
            assertEquals(epochs[i], steps.get(i).epoch());
        }
        assertEquals((whole + rest) / 2, result.trainLoss(), 1e-6 * whole);
        assertEquals(2 * examples.stream().mapToInt(CausalLmExample::length).sum(), result.tokens());
    }

    /** Learns as the model does, and is given the scores that it says the held-out data has. */
    private final class Scripted implements Objective<CausalLmExample> {
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
        public long lossTerms(List<CausalLmExample> batch) {
            return learnt.lossTerms(batch);
        }

        @Override
        public void addGradients(Execution run, List<CausalLmExample> batch, Training training) {
            learnt.addGradients(run, batch, training);
        }

        @Override
        public Map<String, Double> evaluate(Execution run, List<CausalLmExample> examples, int batchSize,
                IntConsumer scored) {
            Map<String, Double> found = new LinkedHashMap<>(Map.of("eval_loss", 1.0));
            found.put(metric, scores[next++]);
            return found;
        }
    }

    private TrainingResult scripted(Adapter adapter, TrainingArguments.Builder arguments, String metric,
            double... scores) {
        model.attach(adapter);
        List<CausalLmExample> examples = examples(12);
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
            assertEquals(Ending.COMPLETE, result.ending());
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
            assertSameNumbers(parametersAt.get(3L), parameters(adapter));
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
                assertEquals(Map.of("eval_loss", 1.0, "accuracy", 0.75), result.metricsAfter());
                assertEquals(6, result.steps());
                assertFalse(Arrays.equals(parametersAt.get(4L).get("packed"), parametersAt.get(6L).get("packed")));
                assertSameNumbers(parametersAt.get(4L), parameters(adapter));
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
            assertSameNumbers(first, parameters(adapter));
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
            assertSameNumbers(expected, parameters(adapter));
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
            assertEquals(Ending.EARLY_STOPPING, result.ending());
            assertSameNumbers(parametersAt.get(6L), parameters(adapter));
            // Added up one by one: a DoubleStream's sum() makes up for roundings.
            double sum = steps.stream().map(TrainingListener.Step::loss).reduce(0.0, Double::sum);
            assertEquals(sum / 10, result.trainLoss());
        }
    }

    @Test
    void refusesToChooseByWhatIsNotThere() {
        try (Adapter adapter = Adapter.create(lora(), model.linears(), stream, 5)) {
            model.attach(adapter);
            List<CausalLmExample> examples = examples(3);
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
            List<CausalLmExample> examples = examples(5);
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
        List<CausalLmExample> examples =
                IntStream.range(0, 16).mapToObj(i -> CausalLmExample.of(new int[lengths[i % 4]])).toList();
        for (boolean group : new boolean[] {false, true}) {
            steps.clear();
            train(lora(), TrainingArguments.builder().perDeviceTrainBatchSize(2).numTrainEpochs(1).shuffle(false)
                    .groupByLength(group).learningRate(0), examples);
            assertEquals(group ? List.of(17L, 5L, 17L, 5L) : List.of(11L, 11L, 11L, 11L),
                    steps.stream().limit(4).map(TrainingListener.Step::tokens).toList());
        }
    }

    /** Rates at which one update makes parameters, or what the model makes of them, too large for float32. */
    private static TrainingArguments.Builder diverging() {
        return TrainingArguments.builder().learningRate(1e30).learningRate("learning_rate_vector_bank", 1e30)
                .learningRate("learning_rate_logits", 1e30)
                .warmupSteps(0).perDeviceTrainBatchSize(4);
    }

    @Test
    void aLearningRateThatNoMethodHasIsRefused() {
        List<CausalLmExample> examples = examples(8);
        try (Adapter adapter = Adapter.create(vbLora(), model.linears(), stream, 5)) {
            model.attach(adapter);
            var trainer = new Trainer<>(new CausalLmObjective(model), execution, TrainingArguments.builder().maxSteps(1)
                    .learningRate("learning_rate_logit", 0.5).build(), List.of());
            InputException e = assertThrows(InputException.class, () -> trainer.train(examples, List.of()));
            assertEquals("learning_rate_logit", e.field());
            assertEquals("0.5", e.found());
            assertEquals("a learning rate of one of these names: learning_rate, learning_rate_head, "
                    + "learning_rate_logits, learning_rate_vector_bank", e.expected());
        }
    }

    @Test
    void aRunWhoseLastStepDivergesFails() {
        List<CausalLmExample> examples = examples(8);
        for (AdapterConfig config : List.of(lora(), vbLora())) {
            for (List<CausalLmExample> heldOut : List.of(List.<CausalLmExample>of(), examples.subList(0, 2))) {
                try (Adapter adapter = Adapter.create(config, model.linears(), stream, 5)) {
                    model.attach(adapter);
                    evaluations.clear();
                    var trainer = new Trainer<>(new CausalLmObjective(model), execution,
                            diverging().maxSteps(1).loadBestModelAtEnd(!heldOut.isEmpty()).build(),
                            List.of(recorder));
                    TrainingException e = assertThrows(TrainingException.class, () -> trainer.train(examples, heldOut));
                    assertTrue(
                            e.getMessage().contains("after step 1 and the run cannot go on: lower the learning rates"),
                            e.getMessage());
                    // What diverged is not the best so far, and the untrained parameters are not what a run is for.
                    assertTrue(bestAt().equals(heldOut.isEmpty() ? List.of() : List.of(0L)), bestAt()::toString);
                }
            }
        }
    }

    @Test
    void namesTheParameterThatIsNotFinite() {
        try (Adapter adapter = Adapter.create(lora(), model.linears(), stream, 5)) {
            model.attach(adapter);
            var trainer = new Trainer<>(new CausalLmObjective(model), execution,
                    TrainingArguments.builder().maxSteps(1).warmupSteps(0).build(), List.of(new TrainingListener() {
                        @Override
                        public void onStep(Step step) {
                            adapter.composition().packed().setFloat(0, Float.NaN);
                        }
                    }));
            TrainingException e = assertThrows(TrainingException.class, () -> trainer.train(examples(8), List.of()));
            assertTrue(e.getMessage().contains("lora_A.weight holds NaN at element 0 after step 1 and the run cannot "
                    + "go on: lower the learning rates"), e.getMessage());
            assertTrue(e.getCause() instanceof InputException, () -> "" + e.getCause());
        }
    }

    /** Learns as the model does; after so many passes something else happens. */
    private final class Disturbed implements Objective<CausalLmExample> {
        private final CausalLmObjective learnt = new CausalLmObjective(model);
        private final int passes;
        private final Runnable disturbance;
        private int done;

        Disturbed(int passes, Runnable disturbance) {
            this.passes = passes;
            this.disturbance = disturbance;
        }

        @Override
        public Adapter adapter() {
            return learnt.adapter();
        }

        @Override
        public long lossTerms(List<CausalLmExample> batch) {
            return learnt.lossTerms(batch);
        }

        @Override
        public void addGradients(Execution run, List<CausalLmExample> batch, Training training) {
            learnt.addGradients(run, batch, training);
            if (++done == passes) {
                disturbance.run();
            }
        }

        @Override
        public Map<String, Double> evaluate(Execution run, List<CausalLmExample> examples, int batchSize,
                IntConsumer scored) {
            return learnt.evaluate(run, examples, batchSize, scored);
        }
    }

    /** An infinite gradient in the fourth step ends the run before it changes parameters. */
    @Test
    void theBestParametersOutliveALaterDivergence() {
        List<CausalLmExample> examples = examples(8);
        for (AdapterConfig config : List.of(lora(), vbLora())) {
            for (boolean loadBest : new boolean[] {true, false}) {
                evaluations.clear();
                try (Adapter adapter = Adapter.create(config, model.linears(), stream, 5)) {
                    model.attach(adapter);
                    Disturbed objective = new Disturbed(4,
                            () -> adapter.composition().packedGradient().setFloat(0, Float.POSITIVE_INFINITY));
                    var trainer = new Trainer<>(objective, execution, TrainingArguments.builder().maxSteps(6)
                            .evalSteps(1).perDeviceTrainBatchSize(8).warmupSteps(0).loadBestModelAtEnd(loadBest)
                            .build(), List.of(recorder));
                    if (!loadBest) {
                        TrainingException e = assertThrows(TrainingException.class,
                                () -> trainer.train(examples, examples));
                        assertTrue(e.getMessage().startsWith("The gradient norm is "), e.getMessage());
                        assertTrue(e.getMessage().contains(" in step 4 and the run cannot go on"), e.getMessage());
                        assertSameNumbers(parametersAt.get(3L), parameters(adapter));
                        continue;
                    }
                    TrainingResult result = trainer.train(examples, examples);
                    assertEquals(Ending.DIVERGED, result.ending());
                    assertEquals(3, result.steps());
                    assertEquals(steps.get(steps.size() - 1).loss(), result.lastLoss());
                    assertTrue(result.bestStep() > 0, result::toString);
                    assertSameNumbers(parametersAt.get(result.bestStep()), parameters(adapter));
                    assertEquals(objective.evaluate(execution, examples, 8, n -> {}), result.metricsAfter());
                    // A run that follows begins with a fresh optimizer.
                    assertEquals(Ending.COMPLETE, trainer.train(examples, examples).ending());
                }
            }
        }
    }

    /** What a listener throws is not taken for a divergence. */
    @Test
    void aListenersExceptionEndsTheRun() {
        List<CausalLmExample> examples = examples(8);
        try (Adapter adapter = Adapter.create(lora(), model.linears(), stream, 5)) {
            model.attach(adapter);
            TrainingException own = new TrainingException("enough");
            var trainer = new Trainer<>(new CausalLmObjective(model), execution, TrainingArguments.builder().maxSteps(6)
                    .evalSteps(1).warmupSteps(0).loadBestModelAtEnd(true).build(), List.of(new TrainingListener() {
                        @Override
                        public void onEvaluation(Evaluation evaluation) {
                            if (evaluation.step() == 3) {
                                throw own;
                            }
                        }
                    }));
            assertSame(own, assertThrows(TrainingException.class, () -> trainer.train(examples, examples)));
        }
    }

    /** The interrupted run, of a thread of its own, which says afterwards whether it is still marked as interrupted. */
    private TrainingResult interrupted(Trainer<CausalLmExample> trainer, List<CausalLmExample> examples,
            List<CausalLmExample> heldOut) {
        try {
            TrainingResult result = trainer.train(examples, heldOut);
            assertTrue(Thread.currentThread().isInterrupted());
            assertEquals(Ending.INTERRUPTED, result.ending());
            return result;
        } finally {
            Thread.interrupted();
        }
    }

    @Test
    void anInterruptEndsTheRunAfterTheLastWholeStep() {
        List<CausalLmExample> examples = examples(12);
        for (AdapterConfig config : List.of(lora(), vbLora())) {
            for (boolean loadBest : new boolean[] {false, true}) {
                try (Adapter adapter = Adapter.create(config, model.linears(), stream, 5)) {
                    model.attach(adapter);
                    steps.clear();
                    // Two micro-batches in a step: the fifth is the first of step 3.
                    Disturbed objective = new Disturbed(5, () -> Thread.currentThread().interrupt());
                    TrainingResult result = interrupted(new Trainer<>(objective, execution,
                            TrainingArguments.builder().perDeviceTrainBatchSize(3).gradientAccumulationSteps(2)
                                    .warmupSteps(0).evalSteps(loadBest ? 1 : 0).loadBestModelAtEnd(loadBest).build(),
                            List.of(recorder, new TrainingListener() {
                                @Override
                                public void onStep(Step step) {
                                    parametersAt.put(step.step(), parameters(adapter));
                                }
                            })), examples, loadBest ? examples : List.of());
                    assertEquals(2, result.steps());
                    assertEquals(2, steps.size());
                    assertEquals(steps.get(1).loss(), result.lastLoss());
                    assertSameNumbers(parametersAt.get(loadBest ? result.bestStep() : 2), parameters(adapter));
                    assertEquals(loadBest ? Set.of("eval_loss") : Set.of(), result.metricsAfter().keySet());
                }
            }
        }
    }

    @Test
    void anInterruptEndsTheScoringOfHeldOutData() {
        List<CausalLmExample> examples = examples(12);
        for (long at : new long[] {0, 2}) {
            List<Long> scored = new ArrayList<>();
            try (Adapter adapter = Adapter.create(lora(), model.linears(), stream, 5)) {
                model.attach(adapter);
                evaluations.clear();
                TrainingResult result = interrupted(new Trainer<>(new CausalLmObjective(model), execution,
                        TrainingArguments.builder().perDeviceEvalBatchSize(2).evalSteps(1).build(),
                        List.of(recorder, new TrainingListener() {
                            @Override
                            public void onPredictionStep(PredictionStep step) {
                                if (step.step() == at) {
                                    scored.add(step.scored());
                                    if (step.scored() == 4) {
                                        Thread.currentThread().interrupt();
                                    }
                                }
                            }
                        })), examples, examples);
                assertEquals(List.of(2L, 4L), scored);
                assertEquals(at, result.steps());
                assertEquals(Map.of(), result.metricsAfter());
                assertEquals(at == 0 ? List.of() : List.of(0L, 1L), evaluatedAt());
                assertEquals(at == 0, Double.isNaN(result.trainLoss()) && Double.isNaN(result.lastLoss())
                        && result.bestStep() == -1 && result.metricsBefore().isEmpty());
            }
        }
    }

    /** As an application stops a run that shows its progress and writes its metrics, and keeps what there is. */
    @Test
    void whatAnInterruptedRunLeavesCanBeSaved(@TempDir Path folder) throws IOException {
        List<CausalLmExample> examples = examples(12);
        Path output = folder.resolve("adapter");
        Path metrics = folder.resolve("metrics.jsonl");
        ByteArrayOutputStream shown = new ByteArrayOutputStream();
        try (Adapter adapter = Adapter.create(vbLora(), model.linears(), stream, 5);
                MetricsFile metricsFile = new MetricsFile(metrics)) {
            model.attach(adapter);
            var trainer = new Trainer<>(new Disturbed(3, () -> Thread.currentThread().interrupt()), execution,
                    TrainingArguments.builder().perDeviceTrainBatchSize(4).warmupSteps(0).build(),
                    List.of(metricsFile, new ProgressListener(new PrintStream(shown), true, System::nanoTime)));
            try {
                assertEquals(3, trainer.train(examples, List.of()).steps());
                assertTrue(Thread.currentThread().isInterrupted());
                adapter.save(output, false, stream);
                assertTrue(Thread.currentThread().isInterrupted());
            } finally {
                Thread.interrupted();
            }
            assertEquals(3, Files.readAllLines(metrics).size());
            try (Adapter loaded = Adapter.load(output, stream)) {
                assertSameNumbers(parameters(adapter), parameters(loaded));
            }
            try (var files = Files.list(output)) {
                assertEquals(2, files.count());
            }
        }
    }
}
