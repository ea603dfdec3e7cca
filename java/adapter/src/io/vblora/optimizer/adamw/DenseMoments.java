package io.vblora.optimizer.adamw;

import io.vblora.kernels.DType;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.Tensors;
import io.vblora.kernels.ops.Optimizer;
import io.vblora.kernels.ops.StepState;
import io.vblora.parameters.DenseParameters;
import io.vblora.parameters.NamedTensors;
import java.util.Map;

/** Of parameters each of which has a gradient. */
final class DenseMoments implements Moments {
    private final DenseParameters parameters;
    private final int group;
    private final Tensors owned;
    private final Tensor expAvg;
    private final Tensor expAvgSq;

    DenseMoments(Stream stream, DenseParameters parameters, int group) {
        this.parameters = parameters;
        this.group = group;
        this.owned = new Tensors(stream.device());
        this.expAvg = owned.allocate(DType.FLOAT32, parameters.values().shape());
        this.expAvgSq = owned.allocate(DType.FLOAT32, parameters.values().shape());
    }

    @Override
    public void update(Stream stream, StepState step) {
        Optimizer.adamw(stream, step, group, parameters.values(), parameters.gradient(), expAvg, expAvgSq);
    }

    @Override
    public void addTo(Stream stream, NamedTensors first, NamedTensors second) {
        stream.synchronize();
        parameters.layout().addTo(first, expAvg);
        parameters.layout().addTo(second, expAvgSq);
    }

    @Override
    public void check(Map<String, Tensor> first, Map<String, Tensor> second) {
        parameters.layout().check(AdamWState.SOURCE, first);
        parameters.layout().check(AdamWState.SOURCE, second);
    }

    @Override
    public void load(Stream stream, Map<String, Tensor> first, Map<String, Tensor> second) {
        stream.synchronize();
        parameters.layout().copy(first, expAvg);
        parameters.layout().copy(second, expAvgSq);
    }

    @Override
    public void close() {
        owned.close();
    }
}
