package io.vblora.optimizer.adamw;

import io.vblora.kernels.DType;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.Tensors;
import io.vblora.parameters.NamedTensors;
import io.vblora.parameters.ParameterLayout;
import io.vblora.parameters.TrainedParameters;
import java.util.Map;

/** Two moments for every element of the parameters, in buffers with the parameters' layout. */
abstract class BufferMoments implements Moments {
    private final ParameterLayout layout;
    private final Tensors owned;
    /** Like the parameters' values, float32. */
    final Tensor expAvg;
    final Tensor expAvgSq;

    BufferMoments(Stream stream, TrainedParameters parameters) {
        this.layout = parameters.layout();
        this.owned = new Tensors(stream.device());
        try {
            this.expAvg = owned.allocate(DType.FLOAT32, parameters.values().shape());
            this.expAvgSq = owned.allocate(DType.FLOAT32, parameters.values().shape());
        } catch (RuntimeException | Error e) {
            owned.close();
            throw e;
        }
    }

    @Override
    public void addTo(Stream stream, NamedTensors first, NamedTensors second) {
        stream.synchronize();
        layout.addTo(first, expAvg);
        layout.addTo(second, expAvgSq);
    }

    @Override
    public void check(Map<String, Tensor> first, Map<String, Tensor> second) {
        layout.check(AdamWState.SOURCE, first);
        layout.check(AdamWState.SOURCE, second);
    }

    @Override
    public void load(Stream stream, Map<String, Tensor> first, Map<String, Tensor> second) {
        stream.synchronize();
        layout.copy(first, expAvg);
        layout.copy(second, expAvgSq);
    }

    @Override
    public boolean allocatesToLoad() {
        return false;
    }

    @Override
    public void close() {
        owned.close();
    }
}
