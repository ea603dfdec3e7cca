package io.vblora.model;

import io.vblora.kernels.Matrix;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Activation;
import io.vblora.kernels.ops.Transformer;
import java.util.List;
import java.util.Objects;
import java.util.stream.Stream;

/**
 * The head that makes logits of pooled features: one linear layer, {@code classifier}, or RoBERTa's two with tanh
 * between them, {@code classifier.dense} and {@code classifier.out_proj}. Adapters hold it whole and have no updates of
 * it.
 */
final class SequenceHead implements ModelPart {
    /** Null where there is but one layer. */
    private final Linear dense;
    private final Linear out;

    /** What the backward pass reads of the forward pass. */
    record Saved(Tensor features, Tensor inner, Tensor activated) {}

    SequenceHead(boolean roberta, long hidden, long labels) {
        dense = roberta ? Linear.ofHead("classifier.dense", hidden, hidden) : null;
        out = Linear.ofHead(roberta ? "classifier.out_proj" : "classifier", hidden, labels);
    }

    @Override
    public List<Parameter> parameters() {
        return Stream.of(dense, out).filter(Objects::nonNull).flatMap(linear -> linear.parameters().stream()).toList();
    }

    /** logits [rows, labels], written, of features [rows, hidden]. */
    Saved forward(Pass pass, long rows, Tensor features, Tensor logits) {
        if (dense == null) {
            out.forward(pass, 0, rows, features, null, logits, false);
            return new Saved(features, null, features);
        }
        Tensor inner = pass.arena().floats(features.shape());
        Tensor activated = pass.arena().floats(features.shape());
        dense.forward(pass, 0, rows, features, null, inner, false);
        Transformer.biasActivationForward(pass.stream(), Activation.TANH, null, Matrix.of(inner), Matrix.of(activated));
        out.forward(pass, 0, rows, activated, null, logits, false);
        return new Saved(features, inner, activated);
    }

    /** Gradients of the head, added to the adapter's, and dfeatures [rows, hidden], overwritten, unless it is null. */
    void backward(Pass pass, long rows, Saved saved, Tensor dlogits, Tensor dfeatures) {
        if (dense == null) {
            out.backward(pass, 0, rows, saved.features, dlogits, null, dfeatures, false);
            return;
        }
        Tensor dinner = pass.arena().floats(saved.inner.shape());
        out.backward(pass, 0, rows, saved.activated, dlogits, null, dinner, false);
        Matrix gradient = Matrix.of(dinner);
        Transformer.biasActivationBackward(pass.stream(), Activation.TANH, Matrix.of(saved.inner), gradient, gradient,
                null);
        dense.backward(pass, 0, rows, saved.features, dinner, null, dfeatures, false);
    }
}
