package io.vblora.model;

import io.vblora.adapter.AdaptedModule;
import io.vblora.adapter.Adapter;
import io.vblora.adapter.ModuleShape;
import io.vblora.kernels.Arena;
import io.vblora.kernels.DType;
import io.vblora.kernels.Matrix;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.LowRank;
import io.vblora.kernels.ops.Transformer;
import java.util.List;

/**
 * A linear layer, y = x Wᵀ + bias, with the low-rank update of an adapter if one is attached that has it. W [out, in]
 * in any native type, bias [out] float32 or null; activations are float32.
 */
public final class Linear implements ModelPart {
    private final String path;
    private final Parameter weight;
    private final Parameter bias;
    private AdaptedModule adapted;
    private LowRank trainingBranch;
    private LowRank evaluationBranch;

    /** @param bias may be null */
    public Linear(String path, Parameter weight, Parameter bias) {
        this.path = path;
        this.weight = weight;
        this.bias = bias;
    }

    /** A layer of a head. */
    static Linear ofHead(String path, long in, long out) {
        return new Linear(path, Parameter.ofHead(path + ".weight", out, in), Parameter.ofHead(path + ".bias", out));
    }

    ModuleShape shape() {
        return new ModuleShape(path, inFeatures(), outFeatures());
    }

    @Override
    public List<Parameter> parameters() {
        return bias == null ? List.of(weight) : List.of(weight, bias);
    }

    @Override
    public List<Linear> linears() {
        return List.of(this);
    }

    public long inFeatures() {
        return weight.dimension(1);
    }

    public long outFeatures() {
        return weight.dimension(0);
    }

    /** Uses the update that an adapter has of this layer, if any; null detaches. */
    void attachUpdate(Adapter adapter) {
        AdaptedModule module = adapter == null ? null : adapter.module(path).orElse(null);
        adapted = module;
        trainingBranch = module == null ? null : branch(module, module.dropout());
        evaluationBranch = module == null ? null : branch(module, 0);
    }

    private LowRank branch(AdaptedModule module, float dropout) {
        return LowRank.ofLayer(inFeatures(), outFeatures(), module.r(), module.index(), dropout, module.scaling());
    }

    private LowRank branch(Pass pass) {
        return pass.isTraining() ? trainingBranch : evaluationBranch;
    }

    private List<LowRank.Factors> factors() {
        return List.of(new LowRank.Factors(adapted.a(), adapted.bt()));
    }

    /** Whether the attached adapter has an update of it. */
    boolean isAdapted() {
        return adapted != null;
    }

    /** Whether the backward pass reads the layer's input. */
    public boolean readsInput() {
        return isAdapted() || weight.isTrained();
    }

    /** Takes the tensor in which the forward pass leaves p = drop(x) Aᵀ [tokens, r]; null without an adapter. */
    public Tensor takeP(Arena arena, long tokens) {
        return isAdapted() ? arena.floats(tokens, adapted.r()) : null;
    }

    /**
     * y [tokens, out] = (or +=) the layer's output for x [tokens, in].
     *
     * @param firstToken place of the first token in the batch
     * @param p of {@link #takeP}, written
     */
    public void forward(Pass pass, long firstToken, long tokens, Tensor x, Tensor p, Tensor y, boolean accumulate) {
        Matrix output = new Matrix(y, tokens, outFeatures());
        pass.blas().gemm(pass.stream(), pass.arena(), false, true, 1, new Matrix(x, tokens, inFeatures()),
                Matrix.of(weight.value()), accumulate ? 1 : 0, output, output);
        if (bias != null) {
            Transformer.addBias(pass.stream(), bias.value(), output);
        }
        if (isAdapted()) {
            branch(pass).forward(pass.stream(), pass.step(), firstToken, tokens, x, factors(), p, y);
        }
    }

    /**
     * dx [tokens, in] = (or +=) the gradient of x, unless dx is null, and the gradients of what is trained added to the
     * adapter's.
     *
     * @param firstToken place of the first token in the batch
     * @param x what the forward pass read; not used unless {@link #readsInput}
     * @param p what the forward pass wrote
     */
    public void backward(Pass pass, long firstToken, long tokens, Tensor x, Tensor dy, Tensor p, Tensor dx,
            boolean accumulate) {
        if (dx != null) {
            Matrix gradient = new Matrix(dx, tokens, inFeatures());
            pass.blas().gemm(pass.stream(), pass.arena(), false, false, 1, new Matrix(dy, tokens, outFeatures()),
                    Matrix.of(weight.value()), accumulate ? 1 : 0, gradient, gradient);
        }
        if (weight.isTrained()) {
            Matrix gradient = Matrix.of(weight.gradient());
            pass.blas().gemm(pass.stream(), pass.arena(), true, false, 1, new Matrix(dy, tokens, outFeatures()),
                    new Matrix(x, tokens, inFeatures()), 1, gradient, gradient);
        }
        if (bias != null && bias.isTrained()) {
            Transformer.addBiasBackward(pass.stream(), new Matrix(dy, tokens, outFeatures()), bias.gradient());
        }
        if (isAdapted()) {
            long mark = pass.arena().mark();
            Tensor q = pass.arena().floats(tokens, adapted.r());
            LowRank branch = branch(pass);
            Tensor scratch = pass.arena().take(DType.UINT8, branch.backwardScratchBytes(pass.stream(), tokens,
                    x.dtype(), adapted.a().dtype()));
            branch.backward(pass.stream(), pass.step(), firstToken, tokens, x, dy, factors(), p, q, dx,
                    List.of(new LowRank.Factors(adapted.da(), adapted.dbt())), scratch);
            pass.arena().release(mark);
        }
    }
}
