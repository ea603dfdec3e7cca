package io.vblora.train;

import io.vblora.InputException;
import io.vblora.adapter.Adapter;
import io.vblora.data.BatchSampler;
import io.vblora.data.CausalLmExample;
import io.vblora.model.CausalLm;
import io.vblora.model.Execution;
import io.vblora.model.TokenBatch;
import io.vblora.model.Training;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.function.IntConsumer;

/**
 * Predicting the next token: cross-entropy over the label tokens. Threads may evaluate at the same time, each with its
 * own execution, while none trains.
 */
public final class CausalLmObjective implements Objective<CausalLmExample> {
    private final CausalLm model;

    /** @param model must have an adapter attached to be trained, but not to be evaluated */
    public CausalLmObjective(CausalLm model) {
        this.model = model;
    }

    /** @throws IllegalStateException if no adapter is attached */
    @Override
    public Adapter adapter() {
        if (model.adapter() == null) {
            throw new IllegalStateException("No adapter is attached to the model");
        }
        return model.adapter();
    }

    @Override
    public long lossTerms(List<CausalLmExample> batch) {
        return batch.stream().mapToLong(CausalLmExample::countedLabels).sum();
    }

    @Override
    public void addGradients(Execution execution, List<CausalLmExample> batch, Training training) {
        model.addGradients(execution, tokens(batch), labels(batch), training);
    }

    @Override
    public Map<String, Double> evaluate(Execution execution, List<CausalLmExample> examples, int batchSize,
            IntConsumer scored) {
        double sum = 0;
        long count = 0;
        int done = 0;
        Iterator<List<CausalLmExample>> batches = new BatchSampler<>(examples, batchSize, false, false, 0).epoch(0);
        while (batches.hasNext()) {
            List<CausalLmExample> batch = batches.next();
            sum += model.lossSum(execution, tokens(batch), labels(batch));
            count += lossTerms(batch);
            done += batch.size();
            scored.accept(done);
        }
        if (count == 0) {
            throw new InputException("held-out data", "labels", "none that counts", "at least one");
        }
        return Map.of(EVAL_LOSS, sum / count);
    }

    private static TokenBatch tokens(List<CausalLmExample> batch) {
        return TokenBatch.of(batch.stream().map(CausalLmExample::inputIds).toList());
    }

    private static int[] labels(List<CausalLmExample> batch) {
        return TokenBatch.pack(batch.stream().map(CausalLmExample::labels).toList());
    }
}
