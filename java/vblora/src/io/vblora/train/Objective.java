package io.vblora.train;

import io.vblora.adapter.Adapter;
import io.vblora.data.TokenSequence;
import io.vblora.model.Execution;
import java.util.List;
import java.util.Map;
import java.util.function.IntConsumer;

/**
 * What is learnt: a model with an adapter attached, and the loss of its answers to examples. Trained by one thread,
 * while no other one uses it.
 *
 * @param <E> the examples
 */
public interface Objective<E extends TokenSequence> {
    /** Name of the mean loss among the scores of {@link #evaluate}. */
    String EVAL_LOSS = "eval_loss";

    /** The adapter that is trained. */
    Adapter adapter();

    /** How many terms the loss of these examples is a sum of: the mean loss is that sum divided by this. */
    long counted(List<E> batch);

    /**
     * The sum of the loss over these examples, before any update; the gradients of {@code gradientScale} times that sum
     * are added to the adapter's.
     *
     * @param batch at least one example
     */
    double lossSumAndGradients(Execution execution, List<E> batch, double gradientScale);

    /**
     * Scores of the answers by name: {@value #EVAL_LOSS}, the mean loss, and the metrics of the task, without dropout.
     * At the end of a run without held-out data, {@link Trainer} also asks for those of examples that it learned from.
     *
     * @param examples at least one
     * @param batchSize examples that are run at a time
     * @param scored told after every batch how many examples have been scored; what it throws ends the scoring
     */
    Map<String, Double> evaluate(Execution execution, List<E> examples, int batchSize, IntConsumer scored);
}
