package io.vblora.model;

import io.vblora.adapter.Adapter;
import io.vblora.adapter.ModelParameter;
import io.vblora.adapter.WholeParameters;
import io.vblora.kernels.Tensor;
import java.util.Arrays;

/**
 * A parameter of a model: the base model's own values, or those that an attached adapter holds in their place and
 * trains. That of a head has no values of its own.
 */
public final class Parameter {
    private final String name;
    private final long[] shape;
    private final Tensor base;
    private WholeParameters whole;
    private Tensor value;

    private Parameter(String name, long[] shape, Tensor base) {
        this.name = name;
        this.shape = shape;
        this.base = base;
        this.value = base;
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

    /** Uses an adapter's values, if it holds any, else the base model's own; null detaches. */
    void attach(Adapter adapter) {
        whole = adapter != null && adapter.wholeParameters().holds(name) ? adapter.wholeParameters() : null;
        value = whole == null ? base : whole.value(name);
    }

    /** Whether an adapter holds it, and trains it. */
    public boolean isTrained() {
        return whole != null;
    }

    /** The values in use: float32 of an adapter, of the base model in any native type. */
    public Tensor value() {
        return value;
    }

    /** The adapter's gradient, to be added to. */
    public Tensor gradient() {
        return whole.gradient(name);
    }
}
