package io.vblora.train;

import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.StepState;
import io.vblora.optimizer.OptimizerState;
import io.vblora.optimizer.OptimizerTensors;
import io.vblora.parameters.ParameterGroup;
import java.util.Map;
import java.util.function.Consumer;
import java.util.function.ToDoubleFunction;

/** A state that shows what it remembers before it is closed. */
record ObservedState(OptimizerState state, Consumer<OptimizerTensors> observer, Stream stream)
        implements OptimizerState {
    @Override
    public void prepare(Stream on, long step, ToDoubleFunction<ParameterGroup> learningRates) {
        state.prepare(on, step, learningRates);
    }

    @Override
    public void update(Stream on, StepState step) {
        state.update(on, step);
    }

    @Override
    public void updated(Stream on) {
        state.updated(on);
    }

    @Override
    public OptimizerTensors tensors(Stream on) {
        return state.tensors(on);
    }

    @Override
    public void load(Stream on, Map<String, Map<String, Tensor>> tensors) {
        state.load(on, tensors);
    }

    @Override
    public void close() {
        try (OptimizerTensors tensors = state.tensors(stream)) {
            observer.accept(tensors);
        }
        state.close();
    }
}
