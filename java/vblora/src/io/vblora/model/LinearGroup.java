package io.vblora.model;

import io.vblora.kernels.Arena;
import io.vblora.kernels.Matrix;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Activation;
import io.vblora.kernels.ops.LowRank;
import io.vblora.kernels.ops.Transformer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Linear layers that read the same input, such as the projections to queries, keys and values, or a single layer. They
 * are computed in one pass over it, with the updates that adapters have of them; each keeps its name and its shape.
 * Their outputs are blocks of columns of one matrix. Activations are float32. Immutable: threads may share it, each
 * with its own pass.
 */
public final class LinearGroup {
    private final List<Linear> members;
    private final Parameter[] weights;
    /** The base model's weights of all members, one after the other, or null where they lie apart. */
    private final Tensor joint;
    private final long[] firstColumns;
    private final long width;

    /** @throws IllegalArgumentException as the other constructor */
    public LinearGroup(Linear... members) {
        this(null, members);
    }

    /**
     * @param joint the base model's weights of all members, one after the other in memory, [those of all outputs, in]:
     * one matrix product then does for all; null where they lie apart
     * @param members 1 to 4 layers with as many inputs; [out, in] if they have joint weights
     * @throws IllegalArgumentException if there are more or none, their inputs differ or the weights do not fit them
     */
    public LinearGroup(Tensor joint, Linear... members) {
        this.members = List.of(members);
        this.weights = this.members.stream().map(Linear::weight).toArray(Parameter[]::new);
        this.firstColumns = new long[members.length];
        long columns = 0;
        for (int i = 0; i < members.length; i++) {
            firstColumns[i] = columns;
            columns += members[i].outFeatures();
        }
        this.width = columns;
        this.joint = joint;
        if (members.length < 1 || members.length > LowRank.MAX_MEMBERS
                || this.members.stream().anyMatch(member -> member.inFeatures() != members[0].inFeatures())
                || joint != null && this.members.stream().anyMatch(Linear::fanInFanOut)
                || joint != null && !Arrays.equals(joint.shape(), new long[] {width, members[0].inFeatures()})) {
            throw new IllegalArgumentException("A group has 1 to " + LowRank.MAX_MEMBERS
                    + " layers with as many inputs, found " + this.members.stream().map(Linear::shape).toList()
                    + (joint == null ? "" : " and joint weights " + Arrays.toString(joint.shape())
                            + ", which are [out, in] of all"));
        }
    }

    public List<Linear> members() {
        return members;
    }

    public long inFeatures() {
        return members.get(0).inFeatures();
    }

    /**
     * What a forward pass wrote; tensors of the arena.
     *
     * @param all outputs [rows, those of all members]
     * @param outputs of each member, its columns of them
     * @param reduced of {@link #takeReduced}
     */
    public record Output(Tensor all, List<Matrix> outputs, Tensor reduced) {
        /** The output of a member [rows, out]. */
        public Matrix of(int member) {
            return outputs.get(member);
        }
    }

    /** Takes a tensor of the size of all outputs. */
    public Tensor take(Arena arena, Rows rows) {
        return arena.floats(rows.count(), width);
    }

    /** The columns that each member has of all outputs. */
    public List<Matrix> columns(Tensor all) {
        List<Matrix> columns = new ArrayList<>(members.size());
        for (int i = 0; i < members.size(); i++) {
            columns.add(columns(all, i));
        }
        return columns;
    }

    private Matrix columns(Tensor all, int member) {
        Matrix matrix = Matrix.of(all);
        return members.size() == 1 ? matrix
                : matrix.columns(firstColumns[member], members.get(member).outFeatures());
    }

    /** Where a member's columns begin. */
    long firstColumn(int member) {
        return firstColumns[member];
    }

    /** Columns of all outputs. */
    long width() {
        return width;
    }

    /**
     * Takes the tensor in which a forward pass leaves the input reduced to the ranks of the updates, drop(x) Aᵀ of
     * each, for the backward pass; null where there are no updates.
     */
    public Tensor takeReduced(Pass pass, Rows rows) {
        int ranks = pass.updates().ranks(this);
        return ranks == 0 ? null : pass.arena().floats(rows.count(), ranks);
    }

    /** Whether the backward pass reads the input of the forward pass. */
    public boolean readsInput(Pass pass) {
        return pass.updates().ranks(this) > 0 || pass.updates().holds(weights);
    }

    /** The outputs of all members for x [rows, in]. */
    public Output forward(Pass pass, Rows rows, Tensor x) {
        Tensor all = take(pass.arena(), rows);
        Tensor reduced = takeReduced(pass, rows);
        forward(pass, rows, x, null, reduced, all);
        return new Output(all, columns(all), reduced);
    }

    /** As {@link #forward(Pass, Rows, Tensor)}, without biases, which {@link #activate} adds. */
    public Output product(Pass pass, Rows rows, Tensor x) {
        Tensor all = take(pass.arena(), rows);
        Tensor reduced = takeReduced(pass, rows);
        multiply(pass, rows, x, null, all);
        addUpdates(pass, rows, x, reduced, all);
        return new Output(all, columns(all), reduced);
    }

    /**
     * Of a single layer: adds the bias to what {@link #product} gave, and applies a function to that, in one pass.
     *
     * @param activated [rows, out], written
     * @throws IllegalArgumentException if there are several layers
     */
    public void activate(Pass pass, Rows rows, Output product, Activation activation, Tensor activated) {
        if (members.size() > 1) {
            throw new IllegalArgumentException("An activation follows a single layer, found " + members.size());
        }
        Parameter bias = members.get(0).bias();
        for (Rows.Run run : bias == null ? List.of(rows.whole()) : pass.runs(rows, bias)) {
            Transformer.biasActivationForward(pass.stream(), activation, bias == null ? null : pass.value(bias, run),
                    Matrix.of(run.of(product.all)), Matrix.of(run.of(activated)));
        }
    }

    /**
     * all = addend + the outputs for x [rows, in].
     *
     * @param addend of the size of all outputs, such as what a residual connection carries on; may be all,
     * and null
     * @param reduced of {@link #takeReduced}, written
     * @param all written; overlaps neither x nor reduced
     */
    public void forward(Pass pass, Rows rows, Tensor x, Tensor addend, Tensor reduced, Tensor all) {
        multiply(pass, rows, x, addend, all);
        addBiases(pass, rows, all);
        addUpdates(pass, rows, x, reduced, all);
    }

    private void multiply(Pass pass, Rows rows, Tensor x, Tensor addend, Tensor all) {
        for (Rows.Run run : pass.runs(rows, weights)) {
            Matrix input = Matrix.of(run.of(x));
            Tensor outputs = run.of(all);
            Tensor terms = addend == null ? null : run.of(addend);
            if (joint != null && !pass.updates().holds(run.slot(), weights)) {
                pass.blas().gemm(pass.stream(), pass.arena(), false, true, input, Matrix.of(joint),
                        terms == null ? 0 : 1, terms == null ? null : Matrix.of(terms), Matrix.of(outputs));
                continue;
            }
            for (int i = 0; i < members.size(); i++) {
                pass.blas().gemm(pass.stream(), pass.arena(), false, !members.get(i).fanInFanOut(), input,
                        Matrix.of(pass.value(weights[i], run)), terms == null ? 0 : 1,
                        terms == null ? null : columns(terms, i), columns(outputs, i));
            }
        }
    }

    private void addUpdates(Pass pass, Rows rows, Tensor x, Tensor reduced, Tensor all) {
        for (Rows.Run run : rows.runs()) {
            GroupUpdate update = pass.updates().of(this, run.slot());
            if (update != null) {
                update.forward(pass, rows, run, x, reduced, all);
            }
        }
    }

    private void addBiases(Pass pass, Rows rows, Tensor all) {
        for (int i = 0; i < members.size(); i++) {
            Parameter bias = members.get(i).bias();
            if (bias != null) {
                for (Rows.Run run : pass.runs(rows, bias)) {
                    Transformer.addBias(pass.stream(), pass.value(bias, run), columns(run.of(all), i));
                }
            }
        }
    }

    /**
     * Of a training pass: dx [rows, in] = (or +=) the gradient of x, unless dx is null, and the gradients of what is
     * trained added to the adapter's.
     *
     * @param x what the forward pass read; not used unless {@link #readsInput}
     * @param reduced what the forward pass left
     * @param dall the gradients of all outputs
     */
    public void backward(Pass pass, Rows rows, Tensor x, Tensor reduced, Tensor dall, Tensor dx, boolean accumulate) {
        if (dx != null) {
            inputGradient(pass, dall, Matrix.of(dx), accumulate);
        }
        for (int i = 0; i < members.size(); i++) {
            if (pass.trains(weights[i])) {
                Matrix gradient = Matrix.of(pass.gradient(weights[i]));
                Matrix dy = columns(dall, i);
                Matrix input = Matrix.of(x);
                boolean fanInFanOut = members.get(i).fanInFanOut();
                pass.blas().gemm(pass.stream(), pass.arena(), true, false, fanInFanOut ? input : dy,
                        fanInFanOut ? dy : input, 1, gradient, gradient);
            }
            Parameter bias = members.get(i).bias();
            if (bias != null && pass.trains(bias)) {
                Transformer.addBiasBackward(pass.stream(), columns(dall, i), pass.gradient(bias));
            }
        }
        GroupUpdate update = pass.updates().of(this, 0);
        if (update != null) {
            update.backward(pass, rows, x, reduced, dall, dx);
        }
    }

    private void inputGradient(Pass pass, Tensor dall, Matrix dx, boolean accumulate) {
        if (joint != null && !pass.updates().holds(weights)) {
            pass.blas().gemm(pass.stream(), pass.arena(), false, false, Matrix.of(dall), Matrix.of(joint),
                    accumulate ? 1 : 0, dx, dx);
            return;
        }
        for (int i = 0; i < members.size(); i++) {
            pass.blas().gemm(pass.stream(), pass.arena(), false, members.get(i).fanInFanOut(), columns(dall, i),
                    Matrix.of(pass.value(weights[i])), accumulate || i > 0 ? 1 : 0, dx, dx);
        }
    }
}
