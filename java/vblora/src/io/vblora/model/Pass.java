package io.vblora.model;

import io.vblora.blas.Blas;
import io.vblora.kernels.Arena;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.StepState;
import java.util.ArrayList;
import java.util.List;

/**
 * What the ops of a pass run with. They read and write the memory of the stream's device alone: what the host has to
 * say is among the inputs, and what it wants to know it reads when the ops are done.
 *
 * @param arena for intermediate tensors
 * @param isTraining whether dropout is drawn, and gradients are added
 * @param step whose seed, number and micro-batch the dropout of a training pass is drawn for; null in an evaluation
 * @param inputs on the device, in the order in which they were added
 * @param updates the adapters that the rows of the batch use
 */
public record Pass(Stream stream, Arena arena, Blas blas, boolean isTraining, StepState step, List<Tensor> inputs,
        Updates updates) {
    public Tensor input(Inputs.Place place) {
        return inputs.get(place.index());
    }

    /** The runs of rows that read the same values of these parameters. */
    public List<Rows.Run> runs(Rows rows, Parameter... parameters) {
        if (rows.runs().size() == 1) {
            return rows.runs();
        }
        List<Rows.Run> merged = new ArrayList<>();
        for (Rows.Run run : rows.runs()) {
            Rows.Run last = merged.isEmpty() ? null : merged.get(merged.size() - 1);
            if (last != null && haveSameValues(last, run, parameters)) {
                merged.set(merged.size() - 1, new Rows.Run(last.first(), last.count() + run.count(), last.slot()));
            } else {
                merged.add(run);
            }
        }
        return merged;
    }

    private boolean haveSameValues(Rows.Run one, Rows.Run other, Parameter... parameters) {
        for (Parameter parameter : parameters) {
            if (value(parameter, one) != value(parameter, other)) {
                return false;
            }
        }
        return true;
    }

    /** What a run of rows reads: float32 values of an adapter, or the base model's own in any native type. */
    public Tensor value(Parameter parameter, Rows.Run run) {
        return updates.value(parameter, run.slot());
    }

    /** What all rows of a training pass read, which use one adapter. */
    public Tensor value(Parameter parameter) {
        return updates.value(parameter, 0);
    }

    /** Whether the adapter holds a parameter, and so trains it. */
    public boolean trains(Parameter parameter) {
        return isTraining && updates.holds(parameter);
    }

    /** Whether the adapter has anything of a part, and so trains it. */
    public boolean trains(ModelPart part) {
        return isTraining && updates.holdsAnyOf(part);
    }

    /** The gradient of a parameter that is trained, to be added to. */
    public Tensor gradient(Parameter parameter) {
        return updates.gradient(parameter);
    }
}
