package io.vblora.parameters;

import io.vblora.kernels.DType;
import io.vblora.kernels.Device;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.Tensors;
import io.vblora.kernels.ops.GradientNorm;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * Parameters that lie one after the other in a float32 buffer. Their gradient is a buffer with the same layout. Where
 * the model reads something that is made from them, {@link #backward} and {@link #refresh} are overridden.
 */
public abstract class FlatParameters implements Trainable {
    private final Device device;
    private final String source;
    private final ParameterLayout layout;
    private final Tensors owned;
    private final Tensor values;
    /** The group of each tensor of the layout. */
    private volatile List<ParameterGroup> groups = List.of();
    private Training training;
    private long version;

    /** The gradient of the whole buffer. */
    private final class Training implements AutoCloseable {
        final Tensors owned = new Tensors(device);
        final Tensor scratch;
        final Tensor gradient;

        Training(Stream stream) {
            scratch = owned.allocate(DType.UINT8, GradientNorm.sumSquaresScratchBytes(stream, values.elements()));
            gradient = owned.allocate(DType.FLOAT32, values.elements());
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
        this.owned = new Tensors(device);
        this.values = owned.allocate(DType.FLOAT32, layout.elements());
    }

    /**
     * Allocates what else is needed as long as the parameters are, float32 and zero. It is closed with them, and they
     * are closed if it cannot be allocated.
     */
    protected Tensor allocate(long elements) {
        return owned.allocate(DType.FLOAT32, elements);
    }

    /** Sets the group of each tensor of the layout, before these are trained. */
    protected void groups(List<ParameterGroup> ofTensors) {
        groups = List.copyOf(ofTensors);
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
        return groups.stream().distinct().toList();
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
    public void enableTraining(Stream stream) {
        verify(stream);
        if (training != null) {
            training.close();
            training = null;
        }
        training = new Training(stream);
    }

    /** Does nothing: what the passes have added is the gradient of the parameters. */
    @Override
    public void backward(Stream stream) {
        training();
    }

    @Override
    public void sumSquares(Stream stream, Tensor sum) {
        GradientNorm.sumSquares(stream, gradient(), sum, training.scratch);
    }

    @Override
    public List<TrainedParameters> trained(Stream stream) {
        Tensor gradient = gradient();
        List<ParameterGroup> ofTensors = groups;
        if (ofTensors.size() != layout.tensors().size()) {
            throw new IllegalStateException(ofTensors.size() + " groups are set, for " + layout.tensors().size()
                    + " tensors");
        }
        List<TrainedParameters> trained = new ArrayList<>();
        int from = 0;
        for (int to = 1; to <= ofTensors.size(); to++) {
            if (to == ofTensors.size() || !ofTensors.get(to).equals(ofTensors.get(from))) {
                long first = layout.tensors().get(from).first();
                ParameterLayout part = layout.slice(from, to);
                trained.add(new DenseParameters(ofTensors.get(from), part, values.view(first, part.elements()),
                        gradient.view(first, part.elements())));
                from = to;
            }
        }
        return trained;
    }

    /** Does nothing: the model reads the parameters themselves. */
    @Override
    public void refresh(Stream stream) {}

    @Override
    public void updated() {
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
        refresh(stream);
        changed();
    }

    @Override
    public NamedTensors gradients(Stream stream) {
        return named(stream, gradient());
    }

    private NamedTensors named(Stream stream, Tensor buffer) {
        stream.synchronize();
        return layout.named(device, buffer);
    }

    @Override
    public void close() {
        owned.close();
        if (training != null) {
            training.close();
        }
    }
}
