package io.vblora.parameters;

import io.vblora.InputException;
import io.vblora.kernels.DType;
import io.vblora.kernels.Device;
import io.vblora.kernels.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/**
 * The names and shapes under which the parameters of a float32 buffer are stored, and where in the buffer they lie: a
 * value that is known before there is a buffer. The parameters' gradients and an optimizer's moments are buffers with
 * the same layout. Immutable.
 *
 * @param tensors all tensors, which lie one after the other in the buffer, without gaps
 * @param factors the tensors that belong together as the factors of a low-rank update
 */
public record ParameterLayout(List<Entry> tensors, List<Factors> factors) {
    public ParameterLayout {
        tensors = List.copyOf(tensors);
        factors = List.copyOf(factors);
    }

    /**
     * Two matrices that have an effect only through their product, B A: for optimizers that treat them together.
     *
     * @param a [r, in]
     * @param b [out, r]
     */
    public record Factors(Entry a, Entry b) {}

    /**
     * A tensor of the buffer.
     *
     * @param shape the shape in which it is stored
     * @param first the place of its first element in the buffer
     * @param transposed whether the buffer holds the transpose of this matrix
     */
    public record Entry(String name, List<Long> shape, long first, boolean transposed) {
        public Entry {
            shape = List.copyOf(shape);
        }

        public long elements() {
            return shape.stream().reduce(1L, Math::multiplyExact);
        }

        public long[] dimensions() {
            return shape.stream().mapToLong(n -> n).toArray();
        }

        private Entry movedBy(long elements) {
            return new Entry(name, shape, first + elements, transposed);
        }

        /** A view of this tensor's elements of a buffer, in the buffer's order. */
        public Tensor view(Tensor buffer) {
            return transposed ? buffer.view(first, shape.get(1), shape.get(0)) : buffer.view(first, dimensions());
        }

        /** Copies a tensor from the shape in which it is stored to a buffer. */
        public void copy(Tensor from, Tensor buffer) {
            if (transposed) {
                FloatTensors.transpose(from, view(buffer));
            } else {
                view(buffer).copyFrom(from);
            }
        }
    }

    /** The number of elements of the buffer. */
    public long elements() {
        return tensors.stream().mapToLong(Entry::elements).sum();
    }

    /** The layout of some consecutive tensors in a buffer of their own, with the factors that are among them. */
    public ParameterLayout slice(int from, int to) {
        long first = tensors.get(from).first;
        List<Entry> part = tensors.subList(from, to);
        return new ParameterLayout(part.stream().map(entry -> entry.movedBy(-first)).toList(),
                factors.stream().filter(pair -> part.contains(pair.a) && part.contains(pair.b))
                        .map(pair -> new Factors(pair.a.movedBy(-first), pair.b.movedBy(-first))).toList());
    }

    /** Names of all tensors, in the buffer's order. */
    public List<String> names() {
        return tensors.stream().map(Entry::name).toList();
    }

    /**
     * Adds the tensors in a buffer to {@code result}: copies of those that are transposed there, and views of others.
     */
    public void addTo(NamedTensors result, Tensor buffer) {
        for (Entry entry : tensors) {
            if (entry.transposed) {
                Tensor stored = result.allocate(DType.FLOAT32, entry.dimensions());
                FloatTensors.transpose(entry.view(buffer), stored);
                result.view(entry.name, stored);
            } else {
                result.view(entry.name, entry.view(buffer));
            }
        }
    }

    /** The tensors in a buffer, as {@link #addTo} adds them. */
    public NamedTensors named(Device device, Tensor buffer) {
        NamedTensors result = new NamedTensors(device);
        try {
            addTo(result, buffer);
            return result;
        } catch (RuntimeException | Error e) {
            result.close();
            throw e;
        }
    }

    /**
     * Requires a float32 tensor of the right shape under each name. Other tensors are ignored.
     *
     * @param source what messages call them
     * @throws InputException naming the first that is missing or has another type or shape
     */
    public void check(String source, Map<String, Tensor> values) {
        for (Entry entry : tensors) {
            Tensor value = values.get(entry.name);
            if (value == null || value.dtype() != DType.FLOAT32 || !value.hasShape(entry.dimensions())) {
                throw new InputException(source, entry.name, value == null ? "nothing" : value.toString(),
                        DType.FLOAT32 + Arrays.toString(entry.dimensions()));
            }
        }
    }

    /**
     * Requires that all elements of checked values are finite.
     *
     * @throws InputException naming the first that is not finite
     */
    public void requireFinite(String source, Map<String, Tensor> values) {
        tensors.forEach(entry -> FloatTensors.requireFinite(source, entry.name, values.get(entry.name)));
    }

    /**
     * Requires that all elements of a buffer are finite.
     *
     * @throws InputException naming the first tensor, and its element, that is not finite
     */
    public void requireFinite(String source, Tensor buffer) {
        for (Entry entry : tensors) {
            Tensor view = entry.view(buffer);
            long found = FloatTensors.firstNotFinite(view);
            if (found >= 0) {
                throw FloatTensors.notFinite(source, entry.name, view, found, entry.transposed
                        ? found % view.dimension(1) * view.dimension(0) + found / view.dimension(1) : found);
            }
        }
    }

    /** Copies checked values to a buffer. */
    public void copy(Map<String, Tensor> from, Tensor buffer) {
        tensors.forEach(entry -> entry.copy(from.get(entry.name), buffer));
    }

    public static Builder builder() {
        return new Builder();
    }

    /** Places one tensor after the other. */
    public static final class Builder {
        private final List<Entry> tensors = new ArrayList<>();
        private final List<Factors> factors = new ArrayList<>();
        private long elements;

        private Builder() {}

        /** Adds a tensor that lies in the buffer as it is stored. */
        public Builder add(String name, long... shape) {
            add(Arrays.stream(shape).boxed().toList(), name, false);
            return this;
        }

        /** Adds the factors of an update: A [r, in], then B [out, r], whose transpose lies in the buffer. */
        public Builder addFactors(String nameA, String nameB, long r, long in, long out) {
            factors.add(new Factors(add(List.of(r, in), nameA, false), add(List.of(out, r), nameB, true)));
            return this;
        }

        private Entry add(List<Long> shape, String name, boolean transposed) {
            Entry entry = new Entry(name, shape, elements, transposed);
            tensors.add(entry);
            elements = Math.addExact(elements, entry.elements());
            return entry;
        }

        public ParameterLayout build() {
            return new ParameterLayout(tensors, factors);
        }
    }
}
