package io.vblora.train;

import java.util.Map;

/**
 * Is told what happens in a training run, on the thread that trains. An exception that a listener throws ends the run.
 * Progress bars and metrics files are listeners.
 */
public interface TrainingListener {
    /**
     * What a run is going to do.
     *
     * @param totalSteps number of optimizer steps; the run does fewer if it stops early
     * @param examples number of training examples
     * @param trainableParameters number of trained parameters
     */
    record Run(long totalSteps, long examples, long trainableParameters) {}

    /**
     * One optimizer step.
     *
     * @param step its number, from 1
     * @param totalSteps number of steps of the run
     * @param epoch passes over the data so far, this step included
     * @param loss mean loss over what counts in the step (label tokens or examples), before the update
     * @param learningRates the learning rates of this step by name, {@code learning_rate_vector_bank} and so on
     * @param gradNorm global 2-norm of the gradients before clipping
     * @param tokens number of tokens of the step
     * @param tokensPerSecond tokens of the step divided by its time
     */
    record Step(long step, long totalSteps, double epoch, double loss, Map<String, Double> learningRates,
            double gradNorm, long tokens, double tokensPerSecond) {}

    /**
     * How far an evaluation on held-out data has got.
     *
     * @param step number of optimizer steps before it
     * @param scored number of held-out examples scored so far
     * @param examples number of held-out examples
     */
    record PredictionStep(long step, long scored, long examples) {}

    /**
     * Scores on held-out data.
     *
     * @param step number of optimizer steps before them
     * @param metrics scores by name: {@code eval_loss}, the mean loss, and the metrics of the task
     * @param best whether they are better than all before, by the metric that decides
     */
    record Evaluation(long step, Map<String, Double> metrics, boolean best) {}

    default void onTrainingBegin(Run run) {}

    default void onStep(Step step) {}

    default void onPredictionStep(PredictionStep step) {}

    default void onEvaluation(Evaluation evaluation) {}

    /** The run is over, normally or by an exception. Always called once after {@link #onTrainingBegin}. */
    default void onTrainingEnd() {}
}
