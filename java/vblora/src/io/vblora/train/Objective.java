package io.vblora.train;

import io.vblora.adapter.Adapter;
import io.vblora.data.TokenSequence;
import io.vblora.model.Execution;
import io.vblora.model.Training;
import java.util.List;
import java.util.Map;
import java.util.function.IntConsumer;

/**
 * What is learnt: a model with an adapter attached, and the loss of its answers to examples. One thread trains it,
 * while no other one uses it.
 *
 * @param <E> the examples
 */
public interface Objective<E extends TokenSequence> {
    /** The name of the mean loss among the scores of {@link #evaluate}. */
    String EVAL_LOSS = "eval_loss";

    /** The adapter that is trained. */
    Adapter adapter();

    /** The number of terms in the sum that is the loss of these examples. The mean loss is the sum divided by it. */
    long lossTerms(List<E> batch);

    /**
     * A training pass over a micro-batch: adds the sum of the loss over these examples to {@link Training#lossSum}, and
     * its gradients to the adapter's. It does not wait for the stream.
     *
     * @param batch at least one example
     */
    void addGradients(Execution execution, List<E> batch, Training training);

    /**
     * Scores of the answers without dropout, by name: {@value #EVAL_LOSS}, the mean loss, and the metrics of the task.
     * At the end of a run without held-out data, {@link Trainer} also asks for the scores of examples that it learned
     * from.
     *
     * @param examples at least one
     * @param batchSize number of examples in a batch
     * @param scored is told after every batch how many examples have been scored; an exception that it throws ends the
     *        evaluation
     */
    Map<String, Double> evaluate(Execution execution, List<E> examples, int batchSize, IntConsumer scored);
}
