package io.vblora.train;

import io.vblora.InputException;
import io.vblora.adapter.Adapter;
import io.vblora.adapter.Composition;
import io.vblora.adapter.ParameterGroup;
import io.vblora.data.Batch;
import io.vblora.data.BatchSampler;
import io.vblora.data.Example;
import io.vblora.kernels.DType;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Memory;
import io.vblora.kernels.ops.Optimizer;
import io.vblora.kernels.ops.StepState;
import io.vblora.model.Execution;
import io.vblora.model.LlamaModel;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;

/**
 * Fine-tunes the adapter attached to a causal language model with AdamW. The loss of a step is the mean of the
 * cross-entropy over the label tokens of all its micro-batches, as Hugging Face's Trainer defines it. A run goes from
 * its first to its last step in one call; the optimizer's state lives as long as the call. Used by one thread.
 */
public final class Trainer {
    private final LlamaModel model;
    private final Adapter adapter;
    private final Execution execution;
    private final TrainingArguments arguments;
    private final List<TrainingListener> listeners;

    /**
     * @param model with an adapter attached
     * @param listeners told of every step, in this order
     * @throws IllegalArgumentException if no adapter is attached
     */
    public Trainer(LlamaModel model, Execution execution, TrainingArguments arguments,
            List<TrainingListener> listeners) {
        if (model.adapter() == null) {
            throw new IllegalArgumentException("No adapter is attached to the model");
        }
        this.model = model;
        this.adapter = model.adapter();
        this.execution = execution;
        this.arguments = arguments;
        this.listeners = List.copyOf(listeners);
    }

    /**
     * Trains from the adapter's present parameters, with fresh optimizer state.
     *
     * @param examples training data, not empty
     * @param heldOut held-out data, scored before the first and after the last step; may be empty
     * @throws InputException if the adapter cannot be trained, or the data holds nothing to learn from
     * @throws TrainingException if the loss or the gradients are no longer finite
     */
    public TrainingResult train(List<Example> examples, List<Example> heldOut) {
        if (examples.isEmpty()) {
            throw new InputException("training data", "", "no examples", "at least one");
        }
        long totalSteps = arguments.totalSteps(examples.size());
        Composition composition = adapter.composition();
        composition.enableTraining(execution.stream(), arguments.weightDecay());
        listeners.forEach(l -> l.onTrainingBegin(
                new TrainingListener.Run(totalSteps, examples.size(), composition.parameterCount())));
        try (StepState step = new StepState(execution.stream().device());
                Tensor squares = Tensor.allocate(execution.stream().device(), DType.FLOAT64, 1)) {
            OptionalDouble before = score(heldOut, 0);
            MicroBatches batches = new MicroBatches(examples);
            double sumOfLosses = 0;
            double lastLoss = Double.NaN;
            double seconds = 0;
            long tokens = 0;
            boolean updated = false;
            for (long s = 1; s <= totalSteps; s++) {
                long start = System.nanoTime();
                List<Batch> micro = batches.nextStep();
                Map<String, Double> rates = prepare(step, s, totalSteps);
                lastLoss = step(step, squares, micro, s, updated);
                double gradNorm = step.gradientNorm(execution.stream());
                requireFinite("gradient norm", gradNorm, s, updated);
                updated |= rates.values().stream().anyMatch(rate -> rate > 0);
                double elapsed = (System.nanoTime() - start) * 1e-9;
                long stepTokens = micro.stream().mapToLong(Batch::tokens).sum();
                sumOfLosses += lastLoss;
                seconds += elapsed;
                tokens += stepTokens;
                var record = new TrainingListener.Step(s, totalSteps, batches.epochsDone(), lastLoss, rates, gradNorm,
                        stepTokens, stepTokens / elapsed);
                listeners.forEach(l -> l.onStep(record));
            }
            composition.verify(execution.stream());
            OptionalDouble after = score(heldOut, totalSteps);
            return new TrainingResult(totalSteps, sumOfLosses / totalSteps, lastLoss, before, after, tokens, seconds);
        } finally {
            execution.step(null);
            listeners.forEach(TrainingListener::onTrainingEnd);
        }
    }

    /** Mean of the cross-entropy over the label tokens of the data, without dropout. */
    public double evaluate(List<Example> examples) {
        double sum = 0;
        long count = 0;
        var sampler = new BatchSampler<>(examples, arguments.perDeviceEvalBatchSize(), false, false, 0);
        for (Iterator<List<Example>> batches = sampler.epoch(0); batches.hasNext();) {
            Batch b = Batch.of(batches.next());
            sum += model.lossSum(execution, b.size(), b.length(), b.inputIds(), b.labels(), b.lengths());
            count += b.countedLabels();
        }
        if (count == 0) {
            throw new InputException("held-out data", "labels", "none that counts", "at least one");
        }
        return sum / count;
    }

    private OptionalDouble score(List<Example> heldOut, long step) {
        if (heldOut.isEmpty()) {
            return OptionalDouble.empty();
        }
        double loss = evaluate(heldOut);
        listeners.forEach(l -> l.onEvaluation(new TrainingListener.Evaluation(step, loss)));
        return OptionalDouble.of(loss);
    }

    /** Sets the step's constants; returns the learning rates by name. */
    private Map<String, Double> prepare(StepState state, long step, long totalSteps) {
        double factor = arguments.lrSchedulerType().factor(step, arguments.warmupStepsOf(totalSteps), totalSteps);
        state.step(step).seed(arguments.seed());
        Map<String, Double> rates = new LinkedHashMap<>();
        for (ParameterGroup group : adapter.composition().groups()) {
            double rate = factor * switch (group) {
                case VECTOR_BANK -> arguments.learningRateVectorBank();
                case LOGITS -> arguments.learningRateLogits();
                case OTHER, HEAD -> arguments.learningRate();
            };
            state.group(group.index(), rate, arguments.adamBeta1(), arguments.adamBeta2(), arguments.adamEpsilon(),
                    arguments.weightDecay());
            rates.put(switch (group) {
                case VECTOR_BANK -> "learning_rate_vector_bank";
                case LOGITS -> "learning_rate_logits";
                case OTHER -> "learning_rate";
                case HEAD -> "learning_rate_head";
            }, rate);
        }
        return rates;
    }

    /** One optimizer step; returns its loss. {@code updated}: whether one before it has changed the parameters. */
    private double step(StepState state, Tensor squares, List<Batch> micro, long number, boolean updated) {
        Stream stream = execution.stream();
        Composition composition = adapter.composition();
        long counted = micro.stream().mapToLong(Batch::countedLabels).sum();
        if (counted == 0) {
            throw new InputException("training data", "labels", "none that counts in step " + number, "at least one");
        }
        composition.zeroGradient(stream);
        double sum = 0;
        for (int i = 0; i < micro.size(); i++) {
            Batch b = micro.get(i);
            execution.step(state.microBatch(i).upload(stream));
            sum += model.lossSumAndGradients(execution, b.size(), b.length(), b.inputIds(), b.labels(), b.lengths(),
                    1.0 / counted);
        }
        execution.step(null);
        double loss = sum / counted;
        requireFinite("loss", loss, number, updated);
        composition.backward(stream);
        Memory.zero(stream, squares);
        composition.sumSquares(stream, squares);
        Optimizer.clip(stream, squares, (float) arguments.maxGradNorm(), state);
        composition.update(stream, state);
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
        private final BatchSampler<Example> sampler;
        private Iterator<List<Example>> current;
        private long epoch;
        private int taken;

        MicroBatches(List<Example> examples) {
            sampler = new BatchSampler<>(examples, arguments.perDeviceTrainBatchSize(), arguments.shuffle(), false,
                    arguments.seed());
            current = sampler.epoch(0);
        }

        List<Batch> nextStep() {
            if (!current.hasNext()) {
                current = sampler.epoch(++epoch);
                taken = 0;
            }
            List<Batch> step = new ArrayList<>();
            while (step.size() < arguments.gradientAccumulationSteps() && current.hasNext()) {
                step.add(Batch.of(current.next()));
                taken++;
            }
            return step;
        }

        double epochsDone() {
            return epoch + (double) taken / sampler.batches();
        }
    }
}
