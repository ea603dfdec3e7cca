package io.vblora.model;

import io.vblora.kernels.Matrix;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Activation;
import io.vblora.kernels.ops.Transformer;
import java.util.List;
import java.util.stream.Stream;

/**
 * The head that makes logits of pooled features: one linear layer, {@code classifier}, or RoBERTa's two with tanh
 * between them, {@code classifier.dense} and {@code classifier.out_proj}. Adapters hold it whole and have no updates of
 * it.
 */
final class SequenceHead implements ModelPart {
    /** Null where there is only one layer. */
    private final LinearGroup dense;
    private final LinearGroup out;

    /**
     * What the forward pass gives, and the backward pass reads.
     *
     * @param inner the output of the first of two layers, else null
     * @param activated the input of the last layer
     * @param logits [rows, labels]
     */
    record Saved(Tensor features, LinearGroup.Output inner, Tensor activated, Tensor logits) {}

    SequenceHead(boolean roberta, long hidden, long labels) {
        dense = roberta ? new LinearGroup(Linear.ofHead("classifier.dense", hidden, hidden)) : null;
        out = new LinearGroup(Linear.ofHead(roberta ? "classifier.out_proj" : "classifier", hidden, labels));
    }

    @Override
    public List<Parameter> parameters() {
        return (dense == null ? Stream.of(out) : Stream.of(dense, out)).flatMap(group -> group.members().stream())
                .flatMap(linear -> linear.parameters().stream()).toList();
    }

    /** The logits of features [rows, hidden]. */
    Saved forward(Pass pass, Rows rows, Tensor features) {
        LinearGroup.Output inner = null;
        Tensor activated = features;
        if (dense != null) {
            inner = dense.product(pass, rows, features);
            activated = pass.arena().floats(features.shape());
            dense.activate(pass, rows, inner, Activation.TANH, activated);
        }
        return new Saved(features, inner, activated, out.forward(pass, rows, activated).all());
    }

    /** Gradients of the head, added to the adapter's, and dfeatures [rows, hidden], overwritten, unless it is null. */
    void backward(Pass pass, Rows rows, Saved saved, Tensor dlogits, Tensor dfeatures) {
        if (dense == null) {
            out.backward(pass, rows, saved.features, null, dlogits, dfeatures, false);
            return;
        }
        Tensor dinner = pass.arena().floats(saved.features.shape());
        out.backward(pass, rows, saved.activated, null, dlogits, dinner, false);
        Matrix gradient = Matrix.of(dinner);
        Transformer.biasActivationBackward(pass.stream(), Activation.TANH, saved.inner.of(0), gradient, gradient, null);
        dense.backward(pass, rows, saved.features, null, dinner, dfeatures, false);
    }
}
