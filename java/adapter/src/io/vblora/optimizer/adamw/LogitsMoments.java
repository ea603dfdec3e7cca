package io.vblora.optimizer.adamw;

import io.vblora.kernels.DType;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.Tensors;
import io.vblora.kernels.ops.Optimizer;
import io.vblora.kernels.ops.StepState;
import io.vblora.parameters.NamedTensors;
import io.vblora.parameters.SelectedLogits;
import java.util.Map;

/** Of all logits: with weight decay, or of a small bank. */
final class LogitsMoments implements Moments {
    private final SelectedLogits logits;
    private final int group;
    private final Tensors owned;
    private final Tensor expAvg;
    private final Tensor expAvgSq;

    LogitsMoments(Stream stream, SelectedLogits logits, int group) {
        this.logits = logits;
        this.group = group;
        this.owned = new Tensors(stream.device());
        this.expAvg = owned.allocate(DType.FLOAT32, logits.values().shape());
        this.expAvgSq = owned.allocate(DType.FLOAT32, logits.values().shape());
    }

    @Override
    public void update(Stream stream, StepState step) {
        Optimizer.adamwSelect(stream, logits.shape(), step, group, logits.values(), logits.gradient(), expAvg, expAvgSq,
                logits.indices(), logits.weights(), logits.badRow());
        logits.selected();
    }

    @Override
    public void addTo(Stream stream, NamedTensors first, NamedTensors second) {
        stream.synchronize();
        logits.layout().addTo(first, expAvg);
        logits.layout().addTo(second, expAvgSq);
    }

    @Override
    public void check(Map<String, Tensor> first, Map<String, Tensor> second) {
        logits.layout().check(AdamWState.SOURCE, first);
        logits.layout().check(AdamWState.SOURCE, second);
    }

    @Override
    public void load(Stream stream, Map<String, Tensor> first, Map<String, Tensor> second) {
        stream.synchronize();
        logits.layout().copy(first, expAvg);
        logits.layout().copy(second, expAvgSq);
    }

    @Override
    public void close() {
        owned.close();
    }
}
