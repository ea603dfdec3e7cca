package io.vblora.model;

import io.vblora.adapter.ModuleShape;
import io.vblora.adapter.ModulesToSave;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Activation;
import io.vblora.kernels.ops.Transformer;
import java.util.List;
import java.util.stream.Stream;

/**
 * The head that makes logits of pooled features: one linear layer, {@code classifier}, or RoBERTa's two with tanh
 * between them, {@code classifier.dense} and {@code classifier.out_proj}.
 */
final class SequenceHead {
    /** Null where there is but one layer. */
    private final TrainedLinear dense;
    private final TrainedLinear out;

    /** What the backward pass reads of the forward pass. */
    record Saved(Tensor features, Tensor inner, Tensor activated) {}

    SequenceHead(boolean roberta, long hidden, long labels) {
        dense = roberta ? new TrainedLinear(new ModuleShape("classifier.dense", hidden, hidden)) : null;
        out = new TrainedLinear(new ModuleShape(roberta ? "classifier.out_proj" : "classifier", hidden, labels));
    }

    List<TrainedLinear> linears() {
        return Stream.of(dense, out).filter(linear -> linear != null).toList();
    }

    void attach(ModulesToSave modules) {
        linears().forEach(linear -> linear.attach(modules));
    }

    /** logits [rows, labels], written, of features [rows, hidden]. */
    Saved forward(Execution run, long rows, Tensor features, Tensor logits) {
        if (dense == null) {
            out.forward(run, rows, features, logits);
            return new Saved(features, null, features);
        }
        Tensor inner = run.arena().floats(features.shape());
        Tensor activated = run.arena().floats(features.shape());
        dense.forward(run, rows, features, inner);
        Transformer.activationForward(run.stream(), Activation.TANH, inner, activated);
        out.forward(run, rows, activated, logits);
        return new Saved(features, inner, activated);
    }

    /** Gradients of the head, added to the adapter's, and dfeatures [rows, hidden], overwritten, unless it is null. */
    void backward(Execution run, long rows, Saved saved, Tensor dlogits, Tensor dfeatures) {
        if (dense == null) {
            out.backward(run, rows, saved.features, dlogits, dfeatures);
            return;
        }
        Tensor dinner = run.arena().floats(saved.inner.shape());
        out.backward(run, rows, saved.activated, dlogits, dinner);
        Transformer.activationBackward(run.stream(), Activation.TANH, saved.inner, dinner, dinner);
        dense.backward(run, rows, saved.features, dinner, dfeatures);
    }
}
