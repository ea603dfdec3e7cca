package io.vblora.parameters;

import io.vblora.kernels.DType;
import io.vblora.kernels.Device;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.Tensors;
import io.vblora.kernels.ops.Memory;
import io.vblora.kernels.ops.Optimizer;
import io.vblora.kernels.ops.StepState;
import java.util.List;
import java.util.Map;

/**
 * Parameters that lie one after the other in one float32 buffer, group by group, and are themselves what the model
 * reads. Gradient and moments are buffers laid out alike.
 */
public abstract class FlatParameters implements Trainable {
    private final Device device;
    private final String source;
    private final ParameterLayout layout;
    private final Tensor values;
    private volatile List<Part> parts = List.of();
    private Training training;
    private long version;

    /** The parameters of one group: the next so many of the buffer. */
    public record Part(ParameterGroup group, long elements) {}

    /** Gradient and optimizer state of the whole buffer. */
    private final class Training implements AutoCloseable {
        final Tensors owned = new Tensors(device);
        final Tensor scratch;
        final Tensor gradient;
        final Tensor expAvg;
        final Tensor expAvgSq;

        Training(Stream stream) {
            scratch = owned.allocate(DType.UINT8, Optimizer.sumSquaresScratchBytes(stream, values.elements()));
            gradient = owned.allocate(DType.FLOAT32, values.elements());
            expAvg = owned.allocate(DType.FLOAT32, values.elements());
            expAvgSq = owned.allocate(DType.FLOAT32, values.elements());
        }

        @Override
        public void close() {
            owned.close();
        }
    }

    /**
     * Allocates the parameters, all zero.
     *
     * @param source what messages call them
     */
    protected FlatParameters(Device device, String source, ParameterLayout layout) {
        this.device = device;
        this.source = source;
        this.layout = layout;
        this.values = Tensor.allocate(device, DType.FLOAT32, layout.elements());
    }

    /** Says which groups the parameters belong to, from the first on. */
    protected void parts(List<Part> newParts) {
        parts = newParts;
    }

    /** Where the parameters lie in {@link #values()}, under PEFT's names. */
    public ParameterLayout layout() {
        return layout;
    }

    protected String source() {
        return source;
    }

    /** All parameters, float32 [parameterCount]. */
    public Tensor values() {
        return values;
    }

    /** The gradient of {@link #values()}, to be added to. */
    public Tensor gradient() {
        return training().gradient;
    }

    /** Notes that the parameters were written. */
    public void changed() {
        version++;
    }

    private Training training() {
        if (training == null) {
            throw new IllegalStateException("Training is not enabled");
        }
        return training;
    }

    @Override
    public List<ParameterGroup> groups() {
        return parts.stream().map(Part::group).distinct().toList();
    }

    @Override
    public long version() {
        return version;
    }

    @Override
    public long parameterCount() {
        return values.elements();
    }

    @Override
    public boolean trainable() {
        return true;
    }

    @Override
    public void enableTraining(Stream stream, double weightDecay) {
        verify(stream);
        if (training != null) {
            training.close();
            training = null;
        }
        training = new Training(stream);
    }

    @Override
    public void zeroGradient(Stream stream) {
        Memory.zero(stream, gradient());
    }

    /** Nothing to do: what the passes added is the parameters' gradient. */
    @Override
    public void backward(Stream stream) {
        training();
    }

    @Override
    public void sumSquares(Stream stream, Tensor sum) {
        Optimizer.sumSquares(stream, gradient(), sum, training.scratch);
    }

    @Override
    public void update(Stream stream, StepState step) {
        Training t = training();
        long begin = 0;
        for (Part part : parts) {
            long n = part.elements;
            Optimizer.adamw(stream, step, part.group.index(), values.view(begin, n), t.gradient.view(begin, n),
                    t.expAvg.view(begin, n), t.expAvgSq.view(begin, n));
            begin += n;
        }
        changed();
    }

    @Override
    public void verify(Stream stream) {
        stream.synchronize();
        layout.requireFinite(source, values);
    }

    @Override
    public NamedTensors parameters(Stream stream) {
        return named(stream, values);
    }

    @Override
    public void loadParameters(Stream stream, Map<String, Tensor> from) {
        stream.synchronize();
        layout.check(source, from);
        layout.requireFinite(source, from);
        layout.copy(from, values);
        changed();
    }

    @Override
    public NamedTensors gradients(Stream stream) {
        return named(stream, gradient());
    }

    @Override
    public Moments moments(Stream stream) {
        Training t = training();
        stream.synchronize();
        return Moments.of(device, (first, second) -> {
            layout.addTo(first, t.expAvg);
            layout.addTo(second, t.expAvgSq);
        });
    }

    @Override
    public void loadMoments(Stream stream, Map<String, Tensor> expAvg, Map<String, Tensor> expAvgSq) {
        Training t = training();
        stream.synchronize();
        layout.check(source, expAvg);
        layout.check(source, expAvgSq);
        layout.copy(expAvg, t.expAvg);
        layout.copy(expAvgSq, t.expAvgSq);
    }

    private NamedTensors named(Stream stream, Tensor buffer) {
        stream.synchronize();
        return layout.named(device, buffer);
    }

    @Override
    public void close() {
        values.close();
        if (training != null) {
            training.close();
        }
    }
}
