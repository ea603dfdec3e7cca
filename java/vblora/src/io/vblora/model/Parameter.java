package io.vblora.model;

import io.vblora.adapter.ModelParameter;
import io.vblora.kernels.Tensor;
import java.util.Arrays;

/**
 * A parameter of a model. Adapters may hold values of their own in its place, and train them; a pass says which values
 * its rows read. That of a head has no values but theirs.
 */
public final class Parameter {
    private final String name;
    private final long[] shape;
    private final Tensor base;

    private Parameter(String name, long[] shape, Tensor base) {
        this.name = name;
        this.shape = shape;
        this.base = base;
    }

    /** One of the base model. */
    public Parameter(String name, Tensor base) {
        this(name, base.shape(), base);
    }

    /** One of a head, whose values are the adapter's. */
    static Parameter ofHead(String name, long... shape) {
        return new Parameter(name, shape, null);
    }

    /** What adapters are offered. */
    ModelParameter offered() {
        return new ModelParameter(name, Arrays.stream(shape).boxed().toList(), base);
    }

    String name() {
        return name;
    }

    /** Size of a dimension, from 0. */
    public long dimension(int i) {
        return shape[i];
    }

    /** The base model's own values, in any native type; null of a head. */
    public Tensor base() {
        return base;
    }
}
