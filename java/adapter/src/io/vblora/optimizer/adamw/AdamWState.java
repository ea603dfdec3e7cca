package io.vblora.optimizer.adamw;

import io.vblora.InputException;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.StepState;
import io.vblora.optimizer.OptimizerState;
import io.vblora.optimizer.OptimizerTensors;
import io.vblora.parameters.NamedTensors;
import io.vblora.parameters.ParameterGroup;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.function.ToDoubleFunction;

/** The moments of all parameters. Groups are numbered in the order in which they first appear. */
final class AdamWState implements OptimizerState {
    /** What messages call the state. */
    static final String SOURCE = "optimizer state";

    private final List<ParameterGroup> groups;
    private final List<Moments> moments;
    private final AdamW adamW;

    AdamWState(List<ParameterGroup> groups, List<Moments> moments, AdamW adamW) {
        this.groups = groups;
        this.moments = moments;
        this.adamW = adamW;
    }

    @Override
    public int groups() {
        return groups.size();
    }

    @Override
    public void prepare(Stream stream, StepState step, ToDoubleFunction<ParameterGroup> learningRates) {
        for (int number = 0; number < groups.size(); number++) {
            ParameterGroup group = groups.get(number);
            adamW.prepare(step, number, group, learningRates.applyAsDouble(group));
        }
        moments.forEach(m -> m.prepare(stream));
    }

    @Override
    public void update(Stream stream, StepState step) {
        moments.forEach(m -> m.update(stream, step));
    }

    @Override
    public void updated(Stream stream) {
        moments.forEach(m -> m.updated(stream));
    }

    @Override
    public OptimizerTensors tensors(Stream stream) {
        NamedTensors first = new NamedTensors(stream.device());
        NamedTensors second = new NamedTensors(stream.device());
        try {
            moments.forEach(m -> m.addTo(stream, first, second));
            return new OptimizerTensors(Map.of(AdamW.EXP_AVG, first, AdamW.EXP_AVG_SQ, second));
        } catch (RuntimeException | Error e) {
            first.close();
            second.close();
            throw e;
        }
    }

    @Override
    public void load(Stream stream, Map<String, Map<String, Tensor>> tensors) {
        for (String quantity : List.of(AdamW.EXP_AVG, AdamW.EXP_AVG_SQ)) {
            if (!tensors.containsKey(quantity)) {
                throw new InputException(SOURCE, quantity, "nothing", "a tensor for each parameter");
            }
        }
        Map<String, Tensor> first = tensors.get(AdamW.EXP_AVG);
        Map<String, Tensor> second = tensors.get(AdamW.EXP_AVG_SQ);
        moments.forEach(m -> m.check(first, second));
        // First those that may lack memory, as long as nothing has been set. An adapter has no more than one of them.
        moments.stream().sorted(Comparator.comparing(m -> !m.allocatesToLoad()))
                .forEach(m -> m.load(stream, first, second));
    }

    /**
     * Closes all moments, even if some cannot bring logits up to date, and then throws what the first of these threw.
     */
    @Override
    public void close() {
        close(moments);
    }

    static void close(List<Moments> moments) {
        RuntimeException failed = null;
        for (Moments m : moments) {
            try {
                m.close();
            } catch (RuntimeException e) {
                if (failed == null) {
                    failed = e;
                } else {
                    failed.addSuppressed(e);
                }
            }
        }
        if (failed != null) {
            throw failed;
        }
    }
}
