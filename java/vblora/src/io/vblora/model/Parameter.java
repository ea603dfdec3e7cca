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
    private final boolean fanInFanOut;

    private Parameter(String name, long[] shape, Tensor base, boolean fanInFanOut) {
        this.name = name;
        this.shape = shape;
        this.base = base;
        this.fanInFanOut = fanInFanOut;
    }

    /** One of the base model. */
    public Parameter(String name, Tensor base) {
        this(name, base.shape(), base, false);
    }

    /** The weight of a linear layer of the base model that is stored as [in, out], as GPT-2's Conv1D does. */
    public static Parameter ofConv1d(String name, Tensor base) {
        return new Parameter(name, base.shape(), base, true);
    }

    /** One of a head, whose values are the adapter's. */
    static Parameter ofHead(String name, long... shape) {
        return new Parameter(name, shape, null, false);
    }

    /** What adapters are offered. */
    ModelParameter offered() {
        return new ModelParameter(name, Arrays.stream(shape).boxed().toList(), base, fanInFanOut);
    }

    String name() {
        return name;
    }

    /** Whether it is the weight of a linear layer that is stored as [in, out]; PEFT's name. */
    public boolean fanInFanOut() {
        return fanInFanOut;
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
