package io.vblora.model;

import io.vblora.adapter.ModuleShape;
import io.vblora.adapter.ModulesToSave;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Transformer;

/** A linear layer y = x Wᵀ + bias of a head, whose weights an adapter holds and trains. */
final class TrainedLinear {
    private final ModuleShape shape;
    private ModulesToSave modules;

    TrainedLinear(ModuleShape shape) {
        this.shape = shape;
    }

    ModuleShape shape() {
        return shape;
    }

    /** Uses these weights; null for none. */
    void attach(ModulesToSave newModules) {
        modules = newModules;
    }

    /** y [rows, out] of x [rows, in]. */
    void forward(Execution run, long rows, Tensor x, Tensor y) {
        run.blas().gemm(run.stream(), run.arena(), false, true, rows, shape.outFeatures(), shape.inFeatures(), 1, x,
                modules.weight(shape.path()), 0, y);
        Transformer.addBias(run.stream(), modules.bias(shape.path()), y);
    }

    /** The gradients of weight and bias, added to the adapter's, and dx [rows, in], overwritten, unless it is null. */
    void backward(Execution run, long rows, Tensor x, Tensor dy, Tensor dx) {
        run.blas().gemm(run.stream(), run.arena(), true, false, shape.outFeatures(), shape.inFeatures(), rows, 1, dy, x,
                1, modules.weightGradient(shape.path()));
        Transformer.addBiasBackward(run.stream(), dy, modules.biasGradient(shape.path()));
        if (dx != null) {
            run.blas().gemm(run.stream(), run.arena(), false, false, rows, shape.inFeatures(), shape.outFeatures(), 1,
                    dy, modules.weight(shape.path()), 0, dx);
        }
    }
}
