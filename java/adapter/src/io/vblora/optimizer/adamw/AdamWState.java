package io.vblora.optimizer.adamw;

import io.vblora.InputException;
import io.vblora.kernels.Device;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.AdamWGroups;
import io.vblora.kernels.ops.StepState;
import io.vblora.optimizer.OptimizerState;
import io.vblora.optimizer.OptimizerTensors;
import io.vblora.parameters.NamedTensors;
import io.vblora.parameters.ParameterGroup;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.function.ToDoubleFunction;

/** The moments of all parameters, and the constants of their groups, which are numbered in the order given. */
final class AdamWState implements OptimizerState {
    /** What messages call the state. */
    static final String SOURCE = "optimizer state";

    private final List<ParameterGroup> groups;
    private final AdamW adamW;
    private final AdamWGroups constants;
    private final List<Moments> moments = new ArrayList<>();

    /** A state without parameters. */
    AdamWState(Device device, List<ParameterGroup> groups, AdamW adamW) {
        this.groups = groups;
        this.adamW = adamW;
        this.constants = new AdamWGroups(device, groups.size());
    }

    /** Adds the moments of some parameters, which are then this state's to close. */
    void add(Moments added) {
        moments.add(added);
    }

    @Override
    public void prepare(Stream stream, long step, ToDoubleFunction<ParameterGroup> learningRates) {
        for (int number = 0; number < groups.size(); number++) {
            ParameterGroup group = groups.get(number);
            adamW.set(constants, number, step, group, learningRates.applyAsDouble(group));
        }
        constants.upload(stream);
        moments.forEach(m -> m.prepare(stream));
    }

    @Override
    public void update(Stream stream, StepState step) {
        moments.forEach(m -> m.update(stream, step, constants));
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
        constants.close();
        if (failed != null) {
            throw failed;
        }
    }
}
