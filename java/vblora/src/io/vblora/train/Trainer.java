package io.vblora.train;

import io.vblora.InputException;
import io.vblora.adapter.ParameterGroup;
import io.vblora.adapter.Trainable;
import io.vblora.data.BatchSampler;
import io.vblora.data.TokenSequence;
import io.vblora.kernels.DType;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Memory;
import io.vblora.kernels.ops.Optimizer;
import io.vblora.kernels.ops.StepState;
import io.vblora.model.Execution;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Fine-tunes an objective's adapter, low-rank updates and modules to save, with AdamW. The loss of a step is the mean
 * over what counts (label tokens or examples) in all its micro-batches, as Hugging Face's Trainer defines it. A run
 * goes from its first to its last step in one call; the optimizer's state lives as long as the call. Used by one
 * thread.
 *
 * @param <E> the examples
 */
public final class Trainer<E extends TokenSequence> {
    private final Objective<E> objective;
    private final Execution execution;
    private final TrainingArguments arguments;
    private final List<TrainingListener> listeners;
    private final List<Trainable> trainables;

    /** @param listeners told of every step, in this order */
    public Trainer(Objective<E> objective, Execution execution, TrainingArguments arguments,
            List<TrainingListener> listeners) {
        this.objective = objective;
        this.execution = execution;
        this.arguments = arguments;
        this.listeners = List.copyOf(listeners);
        this.trainables = objective.adapter().trainables();
    }

    /**
     * Trains from the adapter's present parameters, with fresh optimizer state.
     *
     * @param examples training data, not empty
     * @param heldOut held-out data, scored before the first step, every {@link TrainingArguments#evalSteps} steps and
     * after the last one; may be empty
     * @throws InputException if the adapter cannot be trained, the data holds nothing to learn from, or the arguments
     * ask for held-out data or a metric that is not there
     * @throws TrainingException if the loss or the gradients are no longer finite
     */
    public TrainingResult train(List<E> examples, List<E> heldOut) {
        checkData(examples, heldOut);
        long totalSteps = arguments.totalSteps(examples.size());
        trainables.forEach(t -> t.enableTraining(execution.stream(), arguments.weightDecay()));
        long parameters = trainables.stream().mapToLong(Trainable::parameterCount).sum();
        listeners.forEach(l -> l.onTrainingBegin(new TrainingListener.Run(totalSteps, examples.size(), parameters)));
        try (StepState step = new StepState(execution.stream().device());
                Tensor squares = Tensor.allocate(execution.stream().device(), DType.FLOAT64, 1);
                BestParameters best = new BestParameters(arguments.metricForBestModel(),
                        arguments.loadBestModelAtEnd(), trainables, execution.stream())) {
            Map<String, Double> before = score(heldOut, 0, best);
            Map<String, Double> after = before;
            MicroBatches batches = new MicroBatches(examples);
            double sumOfLosses = 0;
            double lastLoss = Double.NaN;
            double seconds = 0;
            long tokens = 0;
            boolean updated = false;
            long s = 0;
            while (s < totalSteps && !isOver(best)) {
                s++;
                long start = System.nanoTime();
                List<List<E>> micro = batches.nextStep();
                Map<String, Double> rates = prepare(step, s, totalSteps);
                lastLoss = step(step, squares, micro, s, updated);
                double gradNorm = step.gradientNorm(execution.stream());
                requireFinite("gradient norm", gradNorm, s, updated);
                updated |= rates.values().stream().anyMatch(rate -> rate > 0);
                double elapsed = (System.nanoTime() - start) * 1e-9;
                long stepTokens = micro.stream().flatMap(List::stream).mapToLong(TokenSequence::length).sum();
                sumOfLosses += lastLoss;
                seconds += elapsed;
                tokens += stepTokens;
                var record = new TrainingListener.Step(s, totalSteps, batches.epochsDone(), lastLoss, rates, gradNorm,
                        stepTokens, stepTokens / elapsed);
                listeners.forEach(l -> l.onStep(record));
                if (s == totalSteps || arguments.evalSteps() > 0 && s % arguments.evalSteps() == 0) {
                    trainables.forEach(t -> t.verify(execution.stream()));
                    after = score(heldOut, s, best);
                }
            }
            if (arguments.loadBestModelAtEnd()) {
                best.restore();
                after = best.metrics();
            }
            return new TrainingResult(s, sumOfLosses / s, lastLoss, before, after, best.step(), tokens, seconds);
        } finally {
            execution.step(null);
            listeners.forEach(TrainingListener::onTrainingEnd);
        }
    }

    private void checkData(List<E> examples, List<E> heldOut) {
        if (examples.isEmpty()) {
            throw new InputException("training data", "", "no examples", "at least one");
        }
        if (trainables.isEmpty()) {
            throw new InputException("adapter", "", "no parameters", "an adapted module or one to save");
        }
        if (heldOut.isEmpty()) {
            refuseWithoutHeldOut(arguments.evalSteps() > 0, "eval_steps", arguments.evalSteps());
            refuseWithoutHeldOut(arguments.loadBestModelAtEnd(), "load_best_model_at_end", true);
        }
    }

    private static void refuseWithoutHeldOut(boolean asked, String field, Object found) {
        if (asked) {
            throw new InputException("training arguments", field, found + " without held-out data",
                    "held-out data to score");
        }
    }

    private boolean isOver(BestParameters best) {
        int patience = arguments.earlyStoppingPatience();
        return patience > 0 && best.evaluationsSince() >= patience;
    }

    private Map<String, Double> score(List<E> heldOut, long step, BestParameters best) {
        if (heldOut.isEmpty()) {
            return Map.of();
        }
        Map<String, Double> metrics = objective.evaluate(execution, heldOut, arguments.perDeviceEvalBatchSize(),
                scored -> listeners.forEach(l -> l.onPredictionStep(
                        new TrainingListener.PredictionStep(step, scored, heldOut.size()))));
        var record = new TrainingListener.Evaluation(step, metrics, best.offer(step, metrics));
        listeners.forEach(l -> l.onEvaluation(record));
        return metrics;
    }

    /** Sets the step's constants; returns the learning rates by name. */
    private Map<String, Double> prepare(StepState state, long step, long totalSteps) {
        double factor = arguments.lrSchedulerType().factor(step, arguments.warmupStepsOf(totalSteps), totalSteps);
        state.step(step).seed(arguments.seed());
        Set<ParameterGroup> groups = new LinkedHashSet<>();
        trainables.forEach(t -> groups.addAll(t.groups()));
        Map<String, Double> rates = new LinkedHashMap<>();
        for (ParameterGroup group : groups) {
            double rate = factor * switch (group) {
                case VECTOR_BANK -> arguments.learningRateVectorBank();
                case LOGITS -> arguments.learningRateLogits();
                case OTHER -> arguments.learningRate();
                case HEAD, HEAD_BIAS -> arguments.learningRateHead();
            };
            state.group(group.index(), rate, arguments.adamBeta1(), arguments.adamBeta2(), arguments.adamEpsilon(),
                    group.decays() ? arguments.weightDecay() : 0);
            rates.put(switch (group) {
                case VECTOR_BANK -> "learning_rate_vector_bank";
                case LOGITS -> "learning_rate_logits";
                case OTHER -> "learning_rate";
                case HEAD, HEAD_BIAS -> "learning_rate_head";
            }, rate);
        }
        return rates;
    }

    /** One optimizer step; returns its loss. {@code updated}: whether one before it has changed the parameters. */
    private double step(StepState state, Tensor squares, List<List<E>> micro, long number, boolean updated) {
        Stream stream = execution.stream();
        long counted = micro.stream().mapToLong(objective::counted).sum();
        if (counted == 0) {
            throw new InputException("training data", "labels", "none that counts in step " + number, "at least one");
        }
        trainables.forEach(t -> t.zeroGradient(stream));
        double sum = 0;
        for (int i = 0; i < micro.size(); i++) {
            execution.step(state.microBatch(i).upload(stream));
            sum += objective.lossSumAndGradients(execution, micro.get(i), 1.0 / counted);
        }
        execution.step(null);
        double loss = sum / counted;
        requireFinite("loss", loss, number, updated);
        trainables.forEach(t -> t.backward(stream));
        Memory.zero(stream, squares);
        trainables.forEach(t -> t.sumSquares(stream, squares));
        Optimizer.clip(stream, squares, (float) arguments.maxGradNorm(), state);
        trainables.forEach(t -> t.update(stream, state));
        return loss;
    }

    private void requireFinite(String what, double value, long step, boolean updated) {
        if (!Double.isFinite(value)) {
            String advice = !updated ? "nothing has been trained yet, so the weights of the model or the adapter hold "
                    + "numbers that are not finite or far too large"
                    : "lower the learning rates" + (arguments.maxGradNorm() > 0 ? "" : ", or set max_grad_norm");
            throw new TrainingException("The " + what + " is " + value + " in step " + step
                    + " and the run cannot go on: " + advice);
        }
    }

    /** Micro-batches, epoch after epoch; the last step of an epoch takes what is left of it. */
    private final class MicroBatches {
        private final BatchSampler<E> sampler;
        private Iterator<List<E>> current;
        private long epoch;
        private int taken;

        MicroBatches(List<E> examples) {
            sampler = new BatchSampler<>(examples, arguments.perDeviceTrainBatchSize(), arguments.shuffle(),
                    arguments.groupByLength(), arguments.seed());
            current = sampler.epoch(0);
        }

        List<List<E>> nextStep() {
            if (!current.hasNext()) {
                current = sampler.epoch(++epoch);
                taken = 0;
            }
            List<List<E>> step = new ArrayList<>();
            while (step.size() < arguments.gradientAccumulationSteps() && current.hasNext()) {
                step.add(current.next());
                taken++;
            }
            return step;
        }

        double epochsDone() {
            return epoch + (double) taken / sampler.batches();
        }
    }
}
