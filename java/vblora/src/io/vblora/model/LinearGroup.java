package io.vblora.model;

import io.vblora.kernels.Arena;
import io.vblora.kernels.Matrix;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Activation;
import io.vblora.kernels.ops.Transformer;
import java.util.ArrayList;
import java.util.List;

/**
 * Linear layers that read the same input, such as the projections to queries, keys and values, or a single layer. They
 * are computed in one pass over it, with the updates that adapters have of them; each keeps its name and its shape.
 * Their outputs are blocks of columns of one matrix. Activations are float32.
 */
public final class LinearGroup {
    private final List<Linear> members;
    private final Parameter[] weights;
    /** The base model's weights of all members, one behind the other, or null where they lie apart. */
    private final Matrix joint;
    private final long[] firstColumns;
    private final long width;

    /**
     * @param members layers with as many inputs; where their weights lie one behind the other in memory, as {@link
     * WeightReader#linears} reads them, one matrix product does for all
     */
    public LinearGroup(Linear... members) {
        this.members = List.of(members);
        this.weights = this.members.stream().map(Linear::weight).toArray(Parameter[]::new);
        this.firstColumns = new long[members.length];
        long columns = 0;
        for (int i = 0; i < members.length; i++) {
            firstColumns[i] = columns;
            columns += members[i].outFeatures();
        }
        this.width = columns;
        this.joint = this.members.stream().anyMatch(Linear::fanInFanOut) ? null : join(weights, width);
    }

    /** The weights as one matrix, or null. */
    private static Matrix join(Parameter[] weights, long rows) {
        Tensor first = weights[0].base();
        if (first == null) {
            return null;
        }
        long end = first.pointer().address();
        for (Parameter weight : weights) {
            Tensor base = weight.base();
            if (base == null || base.dtype() != first.dtype() || base.pointer().address() != end) {
                return null;
            }
            end += base.bytes();
        }
        return Matrix.of(Tensor.wrap(first.device(), first.dtype(), first.pointer(), rows, first.dimension(1)));
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
        return pass.updates().ranks(this) > 0 || pass.updates().hold(weights);
    }

    /** The outputs of all members for x [rows, in]. */
    public Output forward(Pass pass, Rows rows, Tensor x) {
        Output output = product(pass, rows, x);
        addBiases(pass, rows, output.all);
        return output;
    }

    /** As {@link #forward(Pass, Rows, Tensor)}, without biases, which {@link #activate} adds. */
    public Output product(Pass pass, Rows rows, Tensor x) {
        Tensor all = take(pass.arena(), rows);
        Tensor reduced = takeReduced(pass, rows);
        product(pass, rows, x, null, reduced, all);
        return new Output(all, columns(all), reduced);
    }

    /**
     * Of a single layer: adds the bias to what {@link #product} gave, and applies a function to that, in one pass.
     *
     * @param activated [rows, out], written
     */
    public void activate(Pass pass, Rows rows, Output product, Activation activation, Tensor activated) {
        Parameter bias = members.get(0).bias();
        for (Rows.Run run : bias == null ? List.of(rows.whole()) : pass.runs(rows, bias)) {
            Transformer.biasActivationForward(pass.stream(), activation, bias == null ? null : pass.value(bias, run),
                    Matrix.of(run.of(product.all)), Matrix.of(run.of(activated)));
        }
    }

    /**
     * all = addend + the outputs for x [rows, in].
     *
     * @param addend of the size of all outputs, such as what a residual connection carries on; null for none
     * @param reduced of {@link #takeReduced}, written
     */
    public void forward(Pass pass, Rows rows, Tensor x, Tensor addend, Tensor reduced, Tensor all) {
        product(pass, rows, x, addend, reduced, all);
        addBiases(pass, rows, all);
    }

    private void product(Pass pass, Rows rows, Tensor x, Tensor addend, Tensor reduced, Tensor all) {
        for (Rows.Run run : pass.runs(rows, weights)) {
            Matrix input = Matrix.of(run.of(x));
            Tensor outputs = run.of(all);
            Tensor terms = addend == null ? null : run.of(addend);
            if (joint != null && !pass.updates().hold(run.slot(), weights)) {
                pass.blas().gemm(pass.stream(), pass.arena(), false, true, 1, input, joint, terms == null ? 0 : 1,
                        terms == null ? null : Matrix.of(terms), Matrix.of(outputs));
                continue;
            }
            for (int i = 0; i < members.size(); i++) {
                pass.blas().gemm(pass.stream(), pass.arena(), false, !members.get(i).fanInFanOut(), 1, input,
                        Matrix.of(pass.value(weights[i], run)), terms == null ? 0 : 1,
                        terms == null ? null : columns(terms, i), columns(outputs, i));
            }
        }
        for (Rows.Run run : rows.runs()) {
            GroupUpdate update = pass.updates().of(this, run.slot());
            if (update != null) {
                update.forward(pass, rows.first() + run.first(), run, x, reduced, all);
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
                pass.blas().gemm(pass.stream(), pass.arena(), true, false, 1, fanInFanOut ? input : dy,
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
        if (joint != null && !pass.updates().hold(weights)) {
            pass.blas().gemm(pass.stream(), pass.arena(), false, false, 1, Matrix.of(dall), joint, accumulate ? 1 : 0,
                    dx, dx);
            return;
        }
        for (int i = 0; i < members.size(); i++) {
            pass.blas().gemm(pass.stream(), pass.arena(), false, members.get(i).fanInFanOut(), 1, columns(dall, i),
                    Matrix.of(pass.value(weights[i])), accumulate || i > 0 ? 1 : 0, dx, dx);
        }
    }
}
