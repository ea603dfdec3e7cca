package io.vblora.train;

import io.vblora.InputException;
import io.vblora.SharedUse;
import io.vblora.adapter.AdapterMethods;
import io.vblora.adapter.WholeParameters;
import io.vblora.data.BatchSampler;
import io.vblora.data.TokenSequence;
import io.vblora.kernels.Stream;
import io.vblora.kernels.ops.GradientNorm;
import io.vblora.kernels.ops.StepState;
import io.vblora.model.Execution;
import io.vblora.model.Training;
import io.vblora.optimizer.Optimizer;
import io.vblora.optimizer.OptimizerState;
import io.vblora.parameters.ParameterGroup;
import io.vblora.parameters.Trainable;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/**
 * Fine-tunes an objective's adapter: its low-rank updates and whole parameters. The loss of a step is the mean over
 * what counts (label tokens or examples) in all its micro-batches, as Hugging Face's Trainer defines it. A run goes
 * from its first to its last step in one call, and the optimizer's state lives as long as that call. Used by one
 * thread.
 *
 * @param <E> the examples
 */
public final class Trainer<E extends TokenSequence> {
    private final Objective<E> objective;
    private final Execution execution;
    private final TrainingArguments arguments;
    private final EvaluationArguments evaluation;
    private final List<TrainingListener> listeners;
    private final Optimizer optimizer;
    private final List<Trainable> trainables;

    /**
     * Trains with the optimizer that the arguments name.
     *
     * @param listeners are told of every step, in this order
     */
    public Trainer(Objective<E> objective, Execution execution, TrainingArguments arguments,
            List<TrainingListener> listeners) {
        this(objective, execution, arguments, listeners, arguments.optimizer().create());
    }

    /**
     * Trains with any optimizer.
     *
     * @param listeners are told of every step, in this order
     */
    public Trainer(Objective<E> objective, Execution execution, TrainingArguments arguments,
            List<TrainingListener> listeners, Optimizer optimizer) {
        this.objective = objective;
        this.execution = execution;
        this.arguments = arguments;
        this.evaluation = arguments.evaluation();
        this.listeners = List.copyOf(listeners);
        this.optimizer = optimizer;
        this.trainables = objective.adapter().trainables();
    }

    /**
     * Trains from the adapter's present parameters, with fresh optimizer state.
     *
     * <p>If the thread is interrupted, the run ends before the next micro-batch or batch of held-out data, and this
     * returns: {@link TrainingResult#ending} says so, and the thread is still marked as interrupted. The parameters are
     * those after the last whole step or, with {@link EvaluationArguments#loadBestModelAtEnd}, the best so far. They
     * can be saved.
     *
     * @param examples training data, not empty
     * @param heldOut held-out data, scored before the first step, every {@link EvaluationArguments#evalSteps} steps and
     * after the last one; may be empty
     * @throws InputException if the adapter cannot be trained, if the data holds nothing to learn from, or if the
     * arguments ask for held-out data or a metric that is not there, or set a learning rate that no method has
     * @throws TrainingException if a loss, also on held-out data, or the gradients or parameters are no longer finite,
     * including the parameters that the last step leaves. Gradients that are not finite change no parameter. With
     * {@link EvaluationArguments#loadBestModelAtEnd} the run ends with the best parameters instead, if any have been
     * scored after a step
     * @throws IllegalStateException if another thread uses the adapter or the execution, which both belong to this run
     * until it is over
     */
    public TrainingResult train(List<E> examples, List<E> heldOut) {
        checkData(examples, heldOut);
        try (SharedUse.Use training = objective.adapter().sharedUse().change()) {
            return trainAlone(examples, heldOut);
        }
    }

    private TrainingResult trainAlone(List<E> examples, List<E> heldOut) {
        long totalSteps = arguments.totalSteps(examples.size());
        trainables.forEach(t -> t.enableTraining(execution.stream()));
        long parameters = trainables.stream().mapToLong(Trainable::parameterCount).sum();
        boolean interrupted = false;
        try {
            listeners.forEach(l -> l.onTrainingBegin(new TrainingListener.Run(totalSteps, examples.size(),
                    parameters)));
            TrainingResult result = trainAlone(examples, heldOut, totalSteps);
            interrupted = result.ending() == Ending.INTERRUPTED;
            return result;
        } finally {
            listeners.forEach(TrainingListener::onTrainingEnd);
            if (interrupted) { // again, since a listener that waits for something may have cleared it
                Thread.currentThread().interrupt();
            }
        }
    }

    private TrainingResult trainAlone(List<E> examples, List<E> heldOut, long totalSteps) {
        try (OptimizerState optimizerState = optimizer.attach(execution.stream(), trainables);
                StepState state = new StepState(execution.stream().device(),
                        arguments.batches().gradientAccumulationSteps());
                Readings readings = new Readings(execution.stream().device(),
                        arguments.batches().gradientAccumulationSteps());
                BestParameters best = new BestParameters(evaluation.metricForBestModel(),
                        evaluation.loadBestModelAtEnd(), trainables, execution.stream())) {
            return new Run(examples, heldOut, totalSteps, optimizerState, state, readings, best).result();
        }
    }

    private void checkData(List<E> examples, List<E> heldOut) {
        if (examples.isEmpty()) {
            throw new InputException("training data", "", "no examples", "at least one");
        }
        if (trainables.isEmpty()) {
            throw new InputException("adapter", "", "no parameters", "an adapted module or one to save");
        }
        checkLearningRates();
        if (heldOut.isEmpty()) {
            refuseWithoutHeldOut(evaluation.evalSteps() > 0, "eval_steps", evaluation.evalSteps());
            refuseWithoutHeldOut(evaluation.loadBestModelAtEnd(), "load_best_model_at_end", true);
        }
    }

    /** Refuses learning rates that neither this adapter nor any method has, as they would change nothing. */
    private void checkLearningRates() {
        Set<String> known = new TreeSet<>(List.of(ParameterGroup.MATRICES.learningRate(),
                WholeParameters.HEAD_MATRICES.learningRate()));
        trainables.forEach(t -> t.groups().forEach(group -> known.add(group.learningRate())));
        AdapterMethods.all().forEach(method -> method.groups().forEach(group -> known.add(group.learningRate())));
        arguments.optimizer().learningRates().forEach((name, rate) -> TrainingArguments.require(known.contains(name),
                name, rate, "a learning rate of one of these names: " + String.join(", ", known)));
    }

    private static void refuseWithoutHeldOut(boolean asked, String field, Object found) {
        if (asked) {
            throw new InputException("training arguments", field, found + " without held-out data",
                    "held-out data to score");
        }
    }

    /** Does what comes before the device's work on a step, and returns the step's learning rates by name. */
    private Map<String, Double> prepare(OptimizerState optimizerState, StepState state, long step, long totalSteps) {
        double factor = arguments.schedule().factor(step, totalSteps);
        Map<String, Double> rates = new LinkedHashMap<>();
        trainables.stream().flatMap(t -> t.groups().stream()).forEach(group -> rates.put(group.learningRate(),
                factor * arguments.optimizer().learningRate(group)));
        optimizerState.prepare(execution.stream(), step, group -> rates.get(group.learningRate()));
        state.step(step).seed(arguments.seed()).upload(execution.stream());
        return rates;
    }

    /** Ends a run whose thread has been interrupted. */
    private static final class Interruption extends RuntimeException {
        Interruption() {
            super(null, null, false, false);
        }
    }

    private static void endIfInterrupted() {
        if (Thread.currentThread().isInterrupted()) {
            throw new Interruption();
        }
    }

    /** A run in progress. */
    private final class Run {
        private final MicroBatches batches;
        private final List<E> heldOut;
        private final long totalSteps;
        private final OptimizerState optimizerState;
        private final StepState state;
        private final Readings readings;
        private final BestParameters best;
        private Map<String, Double> before = Map.of();
        private Map<String, Double> after = Map.of();
        /** The number of steps done. After {@code checked} of them the parameters are known to be usable. */
        private long steps;
        private long checked;
        /** Whether a step has changed the parameters. */
        private boolean updated;
        /** A micro-batch of the last step that counts in the loss. */
        private List<E> lastBatch;
        /** Why the run cannot go on; null if it can. */
        private TrainingException divergence;
        private double sumOfLosses;
        private double lastLoss = Double.NaN;
        private double seconds;
        private long tokens;

        Run(List<E> examples, List<E> heldOut, long totalSteps, OptimizerState optimizerState, StepState state,
                Readings readings, BestParameters best) {
            this.batches = new MicroBatches(examples);
            this.heldOut = heldOut;
            this.totalSteps = totalSteps;
            this.optimizerState = optimizerState;
            this.state = state;
            this.readings = readings;
            this.best = best;
        }

        TrainingResult result() {
            Ending ending;
            try {
                ending = ending();
            } catch (TrainingException e) {
                if (e != divergence || !evaluation.loadBestModelAtEnd() || best.step() < 1) {
                    throw e;
                }
                ending = Ending.DIVERGED;
            }
            if (evaluation.loadBestModelAtEnd() && best.step() >= 0) {
                best.restore();
                after = best.metrics();
            }
            return new TrainingResult(ending, steps, steps == 0 ? Double.NaN : sumOfLosses / steps, lastLoss, before,
                    after, best.step(), tokens, seconds);
        }

        /** Runs to the end. */
        private Ending ending() {
            try {
                before = score();
                after = before;
                while (steps < totalSteps && !isOver()) {
                    runStep();
                    if (steps == totalSteps || evaluation.isDueAfter(steps)) {
                        evaluate();
                    }
                }
                return steps < totalSteps ? Ending.EARLY_STOPPING : Ending.COMPLETE;
            } catch (Interruption e) {
                if (checked < steps) {
                    verify();
                    tryOut();
                }
                return Ending.INTERRUPTED;
            }
        }

        private boolean isOver() {
            int patience = evaluation.earlyStoppingPatience();
            return patience > 0 && best.evaluationsSince() >= patience;
        }

        private void runStep() {
            long number = steps + 1;
            long start = System.nanoTime();
            List<List<E>> micro = batches.nextStep();
            long lossTerms = lossTerms(micro, number);
            Map<String, Double> rates = prepare(optimizerState, state, number, totalSteps);
            addGradients(micro, lossTerms);
            Readings.Values values = readings.read(execution.stream(), state);
            double loss = values.lossSum() / lossTerms;
            requireFinite("loss", loss, "in step " + number);
            lastBatch = micro.stream().filter(batch -> objective.lossTerms(batch) > 0).findFirst().orElseThrow();
            double gradNorm = values.gradientNorm();
            requireFinite("gradient norm", gradNorm, "in step " + number);
            update();
            updated |= rates.values().stream().anyMatch(rate -> rate > 0);
            double elapsed = (System.nanoTime() - start) * 1e-9;
            long stepTokens = micro.stream().flatMap(List::stream).mapToLong(TokenSequence::length).sum();
            steps = number;
            lastLoss = loss;
            sumOfLosses += loss;
            seconds += elapsed;
            tokens += stepTokens;
            var record = new TrainingListener.Step(number, totalSteps, batches.epochsDone(), loss, rates, gradNorm,
                    stepTokens, stepTokens / elapsed);
            listeners.forEach(l -> l.onStep(record));
        }

        /** The number of terms in the sum that is the loss of a step. */
        private long lossTerms(List<List<E>> micro, long number) {
            long lossTerms = micro.stream().mapToLong(objective::lossTerms).sum();
            if (lossTerms == 0) {
                throw new InputException("training data", "labels", "none that counts in step " + number,
                        "at least one");
            }
            return lossTerms;
        }

        /** Computes the gradients of a step, and its loss and their norm for the readings. No parameter changes. */
        private void addGradients(List<List<E>> micro, long lossTerms) {
            Stream stream = execution.stream();
            readings.begin(stream);
            trainables.forEach(t -> t.zeroGradient(stream));
            for (int i = 0; i < micro.size(); i++) {
                endIfInterrupted();
                objective.addGradients(execution, micro.get(i),
                        new Training(state.microBatch(i), 1.0 / lossTerms, readings.loss(i)));
            }
            trainables.forEach(t -> t.backward(stream));
            trainables.forEach(t -> t.sumSquares(stream, readings.squares()));
            GradientNorm.clip(stream, readings.squares(),
                    (float) arguments.optimizer().maxGradNorm(), state);
        }

        /** Changes the parameters on the device, and then notes that on the host. */
        private void update() {
            Stream stream = execution.stream();
            optimizerState.update(stream, state);
            trainables.forEach(t -> t.refresh(stream));
            optimizerState.updated(stream);
            trainables.forEach(Trainable::updated);
        }

        /**
         * Scores the parameters that the last step has left, and requires what the loss of a further step would show:
         * that they, and what the model computes with them, are finite.
         */
        private void evaluate() {
            verify();
            if (heldOut.isEmpty()) {
                tryOut();
            } else {
                after = score();
            }
            checked = steps;
        }

        private void verify() {
            after = Map.of(); // the last scores are those of other parameters
            try {
                trainables.forEach(t -> t.verify(execution.stream()));
            } catch (InputException e) {
                throw diverged(e.field() + " holds " + e.found() + " after step " + steps, e);
            }
        }

        /** Runs one more forward pass over examples that the last step learned from. */
        private void tryOut() {
            Map<String, Double> scores = objective.evaluate(execution, lastBatch, lastBatch.size(), scored -> {});
            requireFinite("loss on examples of the last step", scores.get(Objective.EVAL_LOSS), "after step " + steps);
        }

        private Map<String, Double> score() {
            if (heldOut.isEmpty()) {
                return Map.of();
            }
            endIfInterrupted();
            Map<String, Double> metrics = objective.evaluate(execution, heldOut, evaluation.perDeviceEvalBatchSize(),
                    scored -> {
                        listeners.forEach(l -> l.onPredictionStep(
                                new TrainingListener.PredictionStep(steps, scored, heldOut.size())));
                        if (scored < heldOut.size()) {
                            endIfInterrupted();
                        }
                    });
            double loss = metrics.get(Objective.EVAL_LOSS);
            var record = new TrainingListener.Evaluation(steps, metrics, Double.isFinite(loss)
                    && best.offer(steps, metrics));
            listeners.forEach(l -> l.onEvaluation(record));
            requireFinite("loss on the held-out data", loss, "after step " + steps);
            return metrics;
        }

        private void requireFinite(String what, double value, String when) {
            if (!Double.isFinite(value)) {
                throw diverged("The " + what + " is " + value + " " + when, null);
            }
        }

        private TrainingException diverged(String what, InputException cause) {
            String advice = !updated ? "nothing has been trained yet, so the weights of the model or the adapter hold "
                    + "numbers that are not finite or far too large"
                    : "lower the learning rates"
                            + (arguments.optimizer().maxGradNorm() > 0 ? "" : ", or set max_grad_norm");
            divergence = new TrainingException(what + " and the run cannot go on: " + advice, cause);
            return divergence;
        }
    }

    /** The micro-batches of all epochs. The last step of an epoch takes what is left of it. */
    private final class MicroBatches {
        private final BatchSampler<E> sampler;
        private Iterator<List<E>> current;
        private long epoch;
        private int taken;

        MicroBatches(List<E> examples) {
            BatchArguments batching = arguments.batches();
            sampler = new BatchSampler<>(examples, batching.perDeviceTrainBatchSize(), batching.shuffle(),
                    batching.groupByLength(), arguments.seed());
            current = sampler.epoch(0);
        }

        List<List<E>> nextStep() {
            if (!current.hasNext()) {
                current = sampler.epoch(++epoch);
                taken = 0;
            }
            List<List<E>> step = new ArrayList<>();
            while (step.size() < arguments.batches().gradientAccumulationSteps() && current.hasNext()) {
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
